/**
 * Answers as JSON: one document, bytes as `{"base64": …}`, big integers as
 * decimal strings.
 *
 * @module
 */
import type { Output } from "./output.ts";

/** Writes `value` as one JSON document and a newline. */
export function writeJson(output: Output, value: unknown): void {
  const indent = output.isTerminal ? 2 : undefined;
  output.write(JSON.stringify(value, plain, indent) + "\n");
}

function plain(_name: string, value: unknown): unknown {
  if (value instanceof Uint8Array) return { base64: value.toBase64() };
  return typeof value === "bigint" ? String(value) : value;
}
