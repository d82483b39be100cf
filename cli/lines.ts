/**
 * Lines of text out of a stream of bytes, such as what a child process prints.
 *
 * @module
 */
import { LineSplitter } from "./import/line_splitter.ts";

/** Longest line handed on whole; of a longer one only the fact is told. */
const LINE_BYTES_MAX = 64 * 1024;

/**
 * Calls `handle` with each line of `stream`; resolves when the stream ends, or
 * when `signal` fires.
 */
export async function eachLine(
  stream: ReadableStream<Uint8Array>,
  handle: (line: string) => void,
  signal?: AbortSignal,
): Promise<void> {
  const decoder = new TextDecoder();
  const lines = new LineSplitter(LINE_BYTES_MAX, (line) => {
    handle(
      line === undefined
        ? `(a line of more than ${LINE_BYTES_MAX} bytes)`
        : decoder.decode(line),
    );
  });
  const reader = stream.getReader();
  const giveUp = () => void reader.cancel();
  signal?.addEventListener("abort", giveUp, { once: true });
  for (
    let next = await reader.read();
    !next.done;
    next = await reader.read()
  ) lines.push(next.value);
  signal?.removeEventListener("abort", giveUp);
  lines.end();
}
