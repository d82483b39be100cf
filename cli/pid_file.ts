/**
 * The pid file of a node's parent. The parent holds a lock on it as long as it
 * lives, so a file left behind by a crash, or a pid that now belongs to somebody
 * else, is never taken for a running node.
 *
 * @module
 */
import { WhorlError } from "../src/base/errors.ts";
import { PID_FILE_NAME } from "./node_directory.ts";

/** Times a held lock is looked at again before it is believed, and the pause between. */
const LOOKERS_BORNE = 3;
const LOOKER_MS = 20;

/** A pid file that is held. Disposing removes it. */
export interface PidFile extends Disposable {
  readonly path: string;
}

/**
 * Takes the pid file of `directory` for this process.
 *
 * @throws {WhorlError} `store_locked` if another process holds it.
 */
export async function takePidFile(directory: string): Promise<PidFile> {
  const path = `${directory}/${PID_FILE_NAME}`;
  const file = await lockedFile(path, directory);
  await file.truncate();
  await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
  return {
    path,
    [Symbol.dispose]() {
      // Removed while locked, so that nobody takes a file about to go.
      Deno.removeSync(path);
      file.close();
    },
  };
}

async function lockedFile(
  path: string,
  directory: string,
): Promise<Deno.FsFile> {
  for (let attempt = 0;; attempt++) {
    const file = await Deno.open(path, {
      read: true,
      write: true,
      create: true,
      mode: 0o600,
    });
    if (await file.tryLock(true)) {
      // An earlier holder may have removed the file between opening and locking.
      const [ours, there] = [await file.stat(), await inodeOf(path)];
      if (ours.ino === there) return file;
      file.close();
      continue;
    }
    const pid = (await Deno.readTextFile(path)).trim();
    file.close();
    // Somebody who only looks (`pidOfParent`) holds the lock for a moment.
    if (attempt < LOOKERS_BORNE) {
      await new Promise((resolve) => setTimeout(resolve, LOOKER_MS));
      continue;
    }
    throw new WhorlError(
      "store_locked",
      `Cannot start on ${directory} as a node runs there already: its parent is process ${pid}`,
      { details: { path, pid: Number(pid) } },
    );
  }
}

async function inodeOf(path: string): Promise<number | null | undefined> {
  try {
    return (await Deno.stat(path)).ino;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The process that holds the pid file of `directory`, or `undefined`. */
export async function pidOfParent(
  directory: string,
): Promise<number | undefined> {
  let file;
  try {
    file = await Deno.open(`${directory}/${PID_FILE_NAME}`, {
      read: true,
      write: true,
    });
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  using open = file;
  if (await open.tryLock(true)) return undefined;
  const pid = Number((await Deno.readTextFile(
    `${directory}/${PID_FILE_NAME}`,
  )).trim());
  return Number.isInteger(pid) && pid > 0 ? pid : undefined;
}
