/**
 * Answers as JSON: one document, bytes as `{"base64": …}`, big integers as
 * decimal strings.
 *
 * @module
 */
import { encodeBase64 } from "npm:deno-std@1.4.0/encoding/base64.js";
import type { Output } from "./output.ts";

/** Writes `value` as one JSON document and a newline. */
export function writeJson(output: Output, value: unknown): void {
  const indent = output.isTerminal ? 2 : undefined;
  output.write(JSON.stringify(value, plain, indent) + "\n");
}

/** Base64 of `bytes`, as `--context` takes it and `--json` gives it. */
export function base64Of(bytes: Uint8Array): string {
  return encodeBase64(bytes);
}

function plain(_name: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return { base64: base64Of(value) };
  return typeof value === "bigint" ? String(value) : value;
}
