/**
 * Lines of a stream of bytes.
 *
 * @module
 */

/** Yields the lines of `bytes` without their ends; what follows the last end is a line as well. */
export async function* textLines(
  bytes: ReadableStream<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<string> {
  let rest = "";
  for await (const piece of bytes.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() as string;
    yield* lines;
  }
  if (rest !== "") yield rest;
}
