/**
 * The directory of a run: its report, and while it runs a list of all it has
 * made outside of it. The list is written before a thing is made, and the run
 * holds a lock on it as long as it lives, so that whoever comes after a run
 * that was killed knows what is left, and that nobody needs it any more.
 *
 *     run.json   {"processes": [4711], "namespaces": "wn3f2a"}; gone when all is removed
 *     run.lock   locked while the run lives
 *
 * @module
 */
import { encodeRecord, HISTORY_HEADER } from "../../src/simulation/history.ts";
import type { OperationRecord } from "../../src/simulation/history.ts";
import { run } from "./machine.ts";
import { removeNamespaces } from "./namespaces.ts";

/** Where reports go unless told otherwise. */
export const REPORTS = new URL("../../data/nemesis", import.meta.url).pathname;

interface Made {
  readonly processes: readonly number[];
  readonly namespaces: string | undefined;
}

const LIST = "run.json";
const LOCK = "run.lock";

/** See the module comment. Disposing forgets the list; what it lists must be gone. */
export class RunDirectory implements Disposable {
  /** Its absolute path. */
  readonly path: string;
  readonly #lock: Deno.FsFile;
  readonly #files: Deno.FsFile[] = [];
  readonly #startedAt = performance.now();
  #discarded = false;
  #made: Made = { processes: [], namespaces: undefined };

  private constructor(path: string, lock: Deno.FsFile) {
    this.path = path;
    this.#lock = lock;
  }

  /** Makes the directory of a new run below `reports`. */
  static make(reports: string, seed: string): RunDirectory {
    const time = new Date().toISOString().replace(/[-:]|\.\d+Z/g, "");
    const name = `${time}-${seed.replace(/[^\w.-]/g, "_").slice(0, 40)}`;
    const path = `${reports}/${name}-${Deno.pid}`;
    Deno.mkdirSync(`${path}/data`, { recursive: true, mode: 0o700 });
    Deno.mkdirSync(`${path}/logs`);
    const lock = Deno.openSync(`${path}/${LOCK}`, {
      create: true,
      write: true,
    });
    lock.lockSync(true);
    const directory = new RunDirectory(path, lock);
    directory.#write({});
    return directory;
  }

  #write(changes: Partial<Made>): void {
    this.#made = { ...this.#made, ...changes };
    // Replaced as a whole, so that it can be read whenever this process dies.
    const file = `${this.path}/${LIST}`;
    Deno.writeTextFileSync(`${file}.new`, JSON.stringify(this.#made));
    Deno.renameSync(`${file}.new`, file);
  }

  /** Notes that a process was started. */
  claimProcess(pid: number): void {
    this.#write({ processes: [...this.#made.processes, pid] });
  }

  /** A number that no other run on this machine has at the same time, from 0 to 255. */
  get networkNumber(): number {
    return Deno.pid % 256;
  }

  /** Notes that namespaces are about to be made, and returns what their names begin with. */
  claimNamespaces(): string {
    const namespaces = `wn${Deno.pid.toString(36).slice(-5)}`;
    this.#write({ namespaces });
    return namespaces;
  }

  /** Appends lines to `logs/<name>.log`, each with its time in seconds. */
  log(name: string): (line: string) => void {
    const file = this.#append(`logs/${name}.log`);
    return (line) => {
      const seconds = (performance.now() - this.#startedAt) / 1000;
      writeAll(file, `${seconds.toFixed(3)} ${line}\n`);
    };
  }

  /** Appends records to `history.jsonl`. */
  history(): (record: OperationRecord<unknown, unknown>) => void {
    const file = this.#append("history.jsonl");
    writeAll(file, `${HISTORY_HEADER}\n`);
    return (record) => writeAll(file, `${encodeRecord(record)}\n`);
  }

  #append(name: string): Deno.FsFile {
    const file = Deno.openSync(`${this.path}/${name}`, {
      create: true,
      append: true,
    });
    this.#files.push(file);
    return file;
  }

  /** Writes a file of the report. */
  write(name: string, content: unknown): void {
    const text = typeof content === "string"
      ? content
      : `${JSON.stringify(content, null, 2)}\n`;
    Deno.writeTextFileSync(`${this.path}/${name}`, text);
  }

  /** Closes all files; of a run that has passed only its summary is kept. */
  finish(passed: boolean): void {
    for (const file of this.#files.splice(0)) file.close();
    for (const { name, isDirectory } of [...Deno.readDirSync(this.path)]) {
      const kept = passed
        ? name === "summary.json" || name === LIST || name === LOCK
        : !/\.(control|so)$/.test(name);
      if (!kept) {
        Deno.removeSync(`${this.path}/${name}`, { recursive: isDirectory });
      }
    }
  }

  /** Removes all of it, as of a run that was given up. */
  discard(): void {
    for (const file of this.#files.splice(0)) file.close();
    Deno.removeSync(this.path, { recursive: true });
    this.#discarded = true;
  }

  [Symbol.dispose](): void {
    for (const file of this.#files.splice(0)) file.close();
    if (!this.#discarded) {
      Deno.removeSync(`${this.path}/${LIST}`);
      Deno.removeSync(`${this.path}/${LOCK}`);
    }
    this.#lock.close();
  }
}

function writeAll(file: Deno.FsFile, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}

/** Removes what runs that were killed have left below `reports`; returns what was removed, in words. */
export async function removeLeftovers(reports: string): Promise<string[]> {
  const removed: string[] = [];
  for (const entry of await entriesOf(reports)) {
    const path = `${reports}/${entry.name}`;
    const list = await read(`${path}/${LIST}`);
    if (list === undefined) continue;
    using lock = await Deno.open(`${path}/${LOCK}`, { write: true });
    if (!await lock.tryLock(true)) continue;
    const { processes, namespaces } = JSON.parse(list) as Made;
    const ended = [];
    for (const pid of processes) if (await endLeft(pid, path)) ended.push(pid);
    if (namespaces !== undefined) await removeNamespaces(namespaces);
    await Deno.remove(path, { recursive: true });
    const also = [
      ...ended.map((pid) => `process ${pid}`),
      ...(namespaces === undefined ? [] : [`namespaces ${namespaces}*`]),
    ];
    removed.push([path, ...also].join(", "));
  }
  return removed;
}

async function entriesOf(path: string): Promise<Deno.DirEntry[]> {
  try {
    return await Array.fromAsync(Deno.readDir(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Ends process `pid` if it is still the one that was started for the run in `path`. */
async function endLeft(pid: number, path: string): Promise<boolean> {
  let command: string;
  try {
    command = await run("ps", "-o", "args=", "-ww", "-p", `${pid}`);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw error;
    return false; // There is none: `ps` says so by failing.
  }
  // Its number may be somebody else's by now.
  if (!command.includes(path)) return false;
  Deno.kill(pid, "SIGKILL");
  return true;
}

/**
 * Runs `play` in a directory of its own, where its summary stays, or why it
 * failed; nothing if somebody interrupted it.
 *
 * @throws What `play` does.
 */
export async function recorded<Summary extends { readonly passed: boolean }>(
  { reports, seed, signal }: {
    readonly reports: string;
    readonly seed: string;
    readonly signal: AbortSignal;
  },
  play: (directory: RunDirectory) => Promise<Summary>,
): Promise<Summary> {
  using directory = RunDirectory.make(reports, seed);
  try {
    const summary = await play(directory);
    directory.write("summary.json", summary);
    directory.finish(summary.passed);
    return summary;
  } catch (error) {
    if (isInterruption(signal)) {
      directory.discard();
    } else {
      directory.write("error.txt", `${Deno.inspect(error)}\n`);
      directory.finish(false);
    }
    throw error;
  }
}

/** Whether somebody wanted the end, without any reason. */
function isInterruption({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof DOMException &&
    reason.name === "AbortError";
}
