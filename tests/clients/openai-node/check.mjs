// The official `openai` package for Node: chat completions, embeddings, models, responses.
import assert from "node:assert/strict";

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import { check, collect, PARIS_AND_OSLO, RED_PIXEL, run, until, WEATHER_SCHEMA } from "../checks.mjs";

const WEATHER = { type: "function", function: { name: "weather", parameters: WEATHER_SCHEMA } };
const Person = z.object({ name: z.string(), age: z.number().int() });
const said = (content) => [{ role: "user", content }];

function client(one, settings = {}) {
  return new OpenAI({ baseURL: one.baseURL, apiKey: one.key, maxRetries: 0, timeout: 10_000, ...settings });
}

check("chat_answers", async (one) => {
  const answer = await client(one).chat.completions.create({ model: one.model, messages: said("hello") });
  assert.equal(answer.choices[0].message.content, "mock-large: hello");
  assert.equal(answer.choices[0].finish_reason, "stop");
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
  assert.ok(answer._request_id);
});

check("chat_streams", async (one) => {
  const stream = await client(one).chat.completions.create({
    model: one.model,
    messages: said("hello"),
    stream: true,
    stream_options: { include_usage: true },
  });
  const chunks = await collect(stream);
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), "mock-large: hello");
  const finishes = chunks.map((chunk) => chunk.choices[0]?.finish_reason).filter(Boolean);
  assert.deepEqual(finishes, ["stop"]);
  const withUsage = chunks.filter((chunk) => chunk.usage);
  assert.equal(withUsage.length, 1);
  assert.deepEqual(withUsage[0].choices, []);
});

check("silent_stream_is_complete", async (one) => {
  const model = `${one.model}-pausing`;
  const stream = await client(one).chat.completions.create({ model, messages: said("one two"), stream: true });
  const chunks = await collect(stream);
  assert.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), "pausing: one two");
});

check("stream_runner_puts_it_together", async (one) => {
  const stream = client(one).chat.completions.stream({ model: one.model, messages: said("hello there") });
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content, "mock-large: hello there");
});

check("tools_are_called_in_parallel", async (one) => {
  const answer = await client(one).chat.completions.create({
    model: one.model,
    messages: said(PARIS_AND_OSLO),
    tools: [WEATHER],
  });
  const cities = answer.choices[0].message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
  assert.deepEqual(cities, ["Paris", "Oslo"]);
  assert.equal(answer.choices[0].finish_reason, "tool_calls");
});

check("tools_are_called_in_a_stream", async (one) => {
  const stream = client(one).chat.completions.stream({
    model: one.model,
    messages: said(PARIS_AND_OSLO),
    tools: [WEATHER],
  });
  const final = await stream.finalChatCompletion();
  const cities = final.choices[0].message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
  assert.deepEqual(cities, ["Paris", "Oslo"]);
});

check("run_tools_goes_round", async (one) => {
  const asked = [];
  const runner = client(one).chat.completions.runTools({
    model: one.model,
    messages: said(PARIS_AND_OSLO),
    tools: [
      {
        type: "function",
        function: {
          name: "weather",
          parameters: WEATHER_SCHEMA,
          parse: JSON.parse,
          function: ({ city }) => {
            asked.push(city);
            return `sunny in ${city}`;
          },
        },
      },
    ],
  });
  assert.ok(await runner.finalContent());
  assert.deepEqual(asked, ["Paris", "Oslo"]);
});

check("structured_output_is_parsed", async (one) => {
  const answer = await client(one).chat.completions.parse({
    model: one.model,
    messages: said("a person"),
    response_format: zodResponseFormat(Person, "person"),
  });
  Person.parse(answer.choices[0].message.parsed);
});

check("images_are_taken", async (one) => {
  const content = [
    { type: "text", text: "what is this?" },
    { type: "image_url", image_url: { url: `data:image/png;base64,${RED_PIXEL}` } },
  ];
  const answer = await client(one).chat.completions.create({ model: one.model, messages: said(content) });
  assert.match(answer.choices[0].message.content, /^mock-large: what is this\?/);
  assert.ok((await one.requests("mock-large")).at(-1).body.includes(RED_PIXEL.slice(0, 40)));
});

check("embeddings_default_to_base64", { only: ["via-openai", "via-gemini", "via-ollama"] }, async (one) => {
  const input = ["the quick brown fox", "unrelated"];
  const model = one.magic("embed");
  const plain = await client(one).embeddings.create({ model, input });
  const floats = await client(one).embeddings.create({ model, input, encoding_format: "float" });
  assert.equal(plain.data.length, 2);
  assert.ok(floats.data[0].embedding.length > 0);
  plain.data.forEach((row, at) => {
    assert.equal(row.embedding.length, floats.data[at].embedding.length);
    row.embedding.forEach((value, n) => assert.ok(Math.abs(value - floats.data[at].embedding[n]) < 1e-6));
  });
});

check("models_are_listed", async (one) => {
  const models = await collect(client(one).models.list());
  assert.ok(models.some((model) => model.id === one.model));
  assert.equal((await client(one).models.retrieve(one.model)).id, one.model);
});

check("errors_have_their_classes", async (one) => {
  const messages = said("hello");
  const create = (model, settings) => client(one, settings).chat.completions.create({ model, messages });
  await assert.rejects(create(one.model, { apiKey: "sk-wrong" }), OpenAI.AuthenticationError);
  await assert.rejects(create("never-heard-of"), (error) => {
    assert.ok(error instanceof OpenAI.NotFoundError);
    assert.equal(error.code, "model_not_found");
    assert.ok(error.requestID);
    return true;
  });
  await assert.rejects(create(one.magic("error-400")), OpenAI.BadRequestError);
  await assert.rejects(create(one.magic("error-503")), OpenAI.InternalServerError);
  await assert.rejects(create(one.magic("error-429")), (error) => {
    assert.ok(error instanceof OpenAI.RateLimitError);
    assert.equal(error.headers.get("retry-after"), "1");
    return true;
  });
});

check("server_errors_are_retried", async (one) => {
  const patient = client(one, { maxRetries: 2 });
  for (let time = 0; time < 2; time += 1) {
    const answer = await patient.chat.completions.create({ model: one.magic("flaky"), messages: said("hello") });
    assert.equal(answer.choices[0].message.content, "flaky: hello");
  }
});

check("timeout_of_the_client", async (one) => {
  const asked = client(one, { timeout: 500 }).chat.completions.create({
    model: one.magic("hang"),
    messages: said("hello"),
  });
  await assert.rejects(asked, OpenAI.APIConnectionTimeoutError);
  await until(async () => (await one.requests("hang")).at(-1).is_aborted, "the upstream's request is given up");
});

check("broken_stream_is_an_error", async (one) => {
  const stream = await client(one).chat.completions.create({
    model: one.magic("drop"),
    messages: said("a b c d e f"),
    stream: true,
  });
  await assert.rejects(collect(stream));
});

check("leaving_a_stream_cancels_the_upstream", async (one) => {
  const stream = await client(one).chat.completions.create({
    model: one.magic("dripping"),
    messages: said("word ".repeat(500)),
    stream: true,
  });
  for await (const chunk of stream) if (chunk) break;
  await until(async () => (await one.requests("dripping")).at(-1).is_aborted, "the upstream's stream is given up");
});

await run();
