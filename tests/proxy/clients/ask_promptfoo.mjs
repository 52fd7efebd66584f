// promptfoo, its command: chat completions, tools, an error and the Responses API. Prints what it got, as JSON.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const folder = join(dirname(process.argv[3]), "promptfoo");
const { bin } = JSON.parse(readFileSync(join(folder, "package.json")));
const config = { apiBaseUrl: process.argv[2], apiKey: "k", maxRetries: 0 };
const tools = [{ type: "function", function: { name: "add", parameters: { type: "object" } } }];
writeFileSync("promptfooconfig.json", JSON.stringify({
  prompts: ["How many are 6 times 7?", "status 400"],
  providers: [
    { id: "openai:chat:m", label: "chat", config },
    { id: "openai:chat:m", label: "tools", config: { ...config, tools } },
    { id: "openai:responses:m", label: "responses", config },
  ],
  tests: [{ assert: [{ type: "contains", value: "42" }] }],
}));
try {
  execFileSync(process.execPath, [join(folder, bin.promptfoo), "eval", "-c", "promptfooconfig.json", "-o", "out.json",
    "--no-cache", "--no-write", "-j", "1"], { stdio: ["ignore", "ignore", "inherit"] });
} catch (e) {
  if (e.status !== 100) throw e; // It ends so when an assertion has failed, which that of the error does.
}
const got = JSON.parse(readFileSync("out.json")).results.results.map(
  (one) => [one.provider.label, one.prompt.raw, one.success, one.response?.output, one.error, one.response?.tokenUsage],
);
console.log(JSON.stringify(got.sort()));
