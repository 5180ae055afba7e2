// The Vercel AI SDK through its provider for Anthropic: the messages API.
import { createAnthropic } from "@ai-sdk/anthropic";

import { speak } from "./shared.mjs";

// For a model whose name it does not know it would force a tool instead.
const forObjects = { anthropic: { structuredOutputMode: "outputFormat" } };
await speak((one, name) => createAnthropic({ baseURL: one.baseURL, apiKey: one.key })(name), forObjects);
