// The openai SDK for node: whole, streamed, tools, errors and models. Prints what it got, as JSON.
import { createRequire } from "node:module";
const { OpenAI } = createRequire(process.argv[3])("openai");

const client = new OpenAI({ baseURL: process.argv[2], apiKey: "k", maxRetries: 0 });
const asked = { model: "m", messages: [{ role: "user", content: "How many are 6 times 7?" }] };
const tools = [{ type: "function", function: { name: "add", parameters: { type: "object" } } }];
const got = [];
for (const extra of [{}, { stream: true }, { tools }, { stream: true, tools }])
  got.push(await (await client.chat.completions.create({ ...asked, ...extra }).asResponse()).text());
let said = "";
for await (const piece of await client.chat.completions.create({ ...asked, stream: true }))
  said += piece.choices[0]?.delta?.content ?? "";
got.push(said);
for (const status of [400, 429, 500])
  try {
    await client.chat.completions.create({ ...asked, messages: [{ role: "user", content: `status ${status}` }] });
  } catch (e) {
    got.push([e.status, e.message]);
  }
got.push((await client.models.list()).data.map((one) => one.id));
console.log(JSON.stringify(got));
