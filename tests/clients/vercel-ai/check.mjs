// The Vercel AI SDK through its provider for OpenAI-compatible servers.
import assert from "node:assert/strict";

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateText, streamText } from "ai";

import { check, collect } from "../checks.mjs";
import { speak } from "./shared.mjs";

const provider = (one) =>
  createOpenAICompatible({
    name: "gateway",
    baseURL: one.baseURL,
    apiKey: one.key,
    includeUsage: true,
    supportsStructuredOutputs: true,
  });

check("thoughts_are_read", async (one) => {
  const model = provider(one).chatModel(one.magic("think"));
  const ask = { model, prompt: "hello", maxRetries: 0, providerOptions: { gateway: { reasoning: { effort: "low", exclude: false } } } };
  const answer = await generateText(ask);
  assert.ok(answer.reasoningText);
  assert.equal(answer.text, "think: hello");
  const parts = await collect(streamText(ask).fullStream);
  assert.ok(parts.some((part) => part.type === "reasoning-delta"));
});

check("embeddings", { only: ["via-openai", "via-gemini", "via-ollama"] }, async (one) => {
  const model = provider(one).embeddingModel(one.magic("embed"));
  const { embeddings } = await embedMany({ model, values: ["the quick fox", "unrelated"], maxRetries: 0 });
  assert.equal(embeddings.length, 2);
  assert.notDeepEqual(embeddings[0], embeddings[1]);
});

await speak((one, name) => provider(one).chatModel(name));
