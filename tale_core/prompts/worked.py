"""Worked examples of our own for answers as lines of assignments, in each language.

Every number of the question is named first, then one step a line, then the answer. The examples are part of the
template: whoever changes one raises the version of the template that shows them (`tale_core.prompts.messages`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tale_core.types import Language


class Worked(NamedTuple):
    """A question and its lines."""

    question: str
    lines: str


WORKED: Mapping[Language, tuple[Worked, ...]] = {
    "en": (
        Worked(
            "A market stall opens with 85 melons. It sells 29 before noon and half of the rest after noon. "
            "Each melon costs $3. How much money did it take that day?",
            "melons = 85\nsold_before_noon = 29\nprice = 3\nrest = melons - sold_before_noon\n"
            "sold_after_noon = rest / 2\nsold = sold_before_noon + sold_after_noon\nanswer = sold * price",
        ),
        Worked(
            "Nora is 4 years older than twice the age of her brother Paul. Paul will be 15 in 3 years. "
            "How old is Nora now?",
            "paul_in_3_years = 15\nyears = 3\nolder = 4\npaul = paul_in_3_years - years\nanswer = 2 * paul + older",
        ),
        Worked(
            "A coat costs $120. It is reduced by 25%, and then a sales tax of 10% is added. What does the coat cost?",
            "price = 120\nreduction = 25%\ntax = 10%\nreduced = price * (1 - reduction)\nanswer = reduced * (1 + tax)",
        ),
        Worked(
            "A printer makes 18 pages a minute. How many more minutes does it need for 20 booklets of 36 pages each "
            "when it has already run for 12 minutes?",
            "pages_per_minute = 18\nbooklets = 20\npages_per_booklet = 36\nminutes_already = 12\n"
            "pages = booklets * pages_per_booklet\nminutes = pages / pages_per_minute\n"
            "answer = minutes - minutes_already",
        ),
        Worked(
            "Mia jogs 3 miles every morning from Monday to Friday and 5 miles on each day of the weekend. Leo jogs "
            "twice as far as Mia in a week. How many miles do they jog together in 4 weeks?",
            "weekday_miles = 3\nweekdays = 5\nweekend_miles = 5\nweekend_days = 2\nweeks = 4\n"
            "mia = weekday_miles * weekdays + weekend_miles * weekend_days\nleo = 2 * mia\n"
            "answer = (mia + leo) * weeks",
        ),
        Worked(
            "A baker fills 6 trays with 2 dozen rolls each. He burns a third of them and packs the others into bags "
            "of 8. How many bags does he fill?",
            "trays = 6\nrolls_per_tray = 2 * 12\nrolls_per_bag = 8\nrolls = trays * rolls_per_tray\n"
            "burnt = rolls / 3\nanswer = (rolls - burnt) / rolls_per_bag",
        ),
    ),
    "zh": (
        Worked(
            "水果摊早上有 85 个西瓜，上午卖出 29 个，下午卖出剩下的一半。每个西瓜 3 元。这一天一共收入多少元？",
            "西瓜 = 85\n上午卖出 = 29\n单价 = 3\n剩下 = 西瓜 - 上午卖出\n下午卖出 = 剩下 / 2\n"
            "一共卖出 = 上午卖出 + 下午卖出\n答案 = 一共卖出 * 单价",
        ),
        Worked(
            "小娜的年龄比弟弟小宝年龄的两倍还多 4 岁。3 年后小宝 15 岁。小娜现在多少岁？",
            "小宝3年后 = 15\n年数 = 3\n多 = 4\n小宝 = 小宝3年后 - 年数\n答案 = 2 * 小宝 + 多",
        ),
        Worked(
            "一件大衣原价 120 元，先降价 25%，再加收 10% 的税。这件大衣要付多少元？",
            "原价 = 120\n降价 = 25%\n税 = 10%\n降价后 = 原价 * (1 - 降价)\n答案 = 降价后 * (1 + 税)",
        ),
        Worked(
            "打印机每分钟打印 18 页，要打印 20 本小册子，每本 36 页，已经打印了 12 分钟。还需要多少分钟？",
            "每分钟页数 = 18\n本数 = 20\n每本页数 = 36\n已用分钟 = 12\n总页数 = 本数 * 每本页数\n"
            "总分钟 = 总页数 / 每分钟页数\n答案 = 总分钟 - 已用分钟",
        ),
        Worked(
            "小美周一到周五每天跑 3 公里，周末每天跑 5 公里。小力一周跑的路程是小美的两倍。他们 4 周一共跑多少公里？",
            "平日公里 = 3\n平日天数 = 5\n周末公里 = 5\n周末天数 = 2\n周数 = 4\n"
            "小美 = 平日公里 * 平日天数 + 周末公里 * 周末天数\n小力 = 2 * 小美\n答案 = (小美 + 小力) * 周数",
        ),
        Worked(
            "面包师烤了 6 盘面包，每盘 24 个。其中三分之一烤焦了，剩下的每 8 个装一袋。一共装了多少袋？",
            "盘数 = 6\n每盘个数 = 24\n每袋个数 = 8\n总数 = 盘数 * 每盘个数\n烤焦 = 总数 / 3\n"
            "答案 = (总数 - 烤焦) / 每袋个数",
        ),
    ),
}
