/**
 * The bytes of a file or of standard input, unpacked if they are gzipped, and
 * counted as they are read from the disk, so that progress is true for packed
 * files as well.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../../src/base/errors.ts";
import type { Input } from "../world.ts";

/** An open source. */
export interface ImportSource {
  readonly stream: ReadableStream<Uint8Array<ArrayBuffer>>;
  /** Bytes read so far, packed. */
  bytesRead(): number;
  /** All there are, or `undefined` if nobody knows. */
  readonly bytesTotal: number | undefined;
}

/**
 * Opens `path`, or standard input for `-`.
 *
 * @throws {WhorlError} `invalid_argument` if it cannot be opened.
 */
export async function openImportSource(
  path: string,
  input: Input,
): Promise<ImportSource> {
  if (path === "-") return counted(input.bytes(), undefined, false);
  try {
    const { isDirectory, isFile, size } = await Deno.stat(path);
    if (isDirectory) throw new Deno.errors.IsADirectory("it is a directory");
    const file = await Deno.open(path);
    return counted(
      file.readable,
      isFile ? size : undefined,
      /\.gz$/i.test(path),
    );
  } catch (error) {
    throw new WhorlError(
      "invalid_argument",
      `Cannot read ${path}: ${reasonOf(error)}`,
      { details: { path }, cause: error },
    );
  }
}

function counted(
  raw: ReadableStream<Uint8Array<ArrayBuffer>>,
  bytesTotal: number | undefined,
  packed: boolean,
): ImportSource {
  let bytesRead = 0;
  const passed = raw.pipeThrough(
    new TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>>({
      transform(chunk, controller) {
        bytesRead += chunk.length;
        controller.enqueue(chunk);
      },
    }),
  );
  return {
    stream: packed
      ? passed.pipeThrough(new DecompressionStream("gzip"))
      : passed,
    bytesRead: () => bytesRead,
    bytesTotal,
  };
}
