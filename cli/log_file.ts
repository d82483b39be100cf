/**
 * A log file with a bound: when it is full it becomes `….1`, and the `….1`
 * before it is forgotten.
 *
 * @module
 */

/** Size at which a log file is put aside, in bytes: 16 MiB. */
export const LOG_FILE_BYTES_MAX = 16 * 1024 * 1024;

/** A log file that lines are appended to. */
export class LogFile implements Disposable {
  readonly path: string;
  #file: Deno.FsFile;
  #bytes: number;
  #bytesMax: number;
  #encoder = new TextEncoder();

  /** Opens or makes the file at `path`. @param bytesMax Size at which it is put aside. */
  constructor(path: string, bytesMax: number = LOG_FILE_BYTES_MAX) {
    this.path = path;
    this.#bytesMax = bytesMax;
    this.#file = this.#open();
    this.#bytes = this.#file.statSync().size;
  }

  /** Appends `line` and a line end. */
  write(line: string): void {
    const bytes = this.#encoder.encode(`${line}\n`);
    if (this.#bytes > 0 && this.#bytes + bytes.length > this.#bytesMax) {
      this.#file.close();
      Deno.renameSync(this.path, `${this.path}.1`);
      this.#file = this.#open();
      this.#bytes = 0;
    }
    for (let at = 0; at < bytes.length;) {
      at += this.#file.writeSync(bytes.subarray(at));
    }
    this.#bytes += bytes.length;
  }

  #open(): Deno.FsFile {
    return Deno.openSync(this.path, {
      append: true,
      create: true,
      mode: 0o600,
    });
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}
