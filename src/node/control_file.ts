/**
 * The control file: how a command that knows only a data directory finds the
 * node that runs there. The node writes it when it is up and removes it when it
 * stops; after a crash it is left behind and names an address where nobody
 * answers, which readers find out by asking.
 *
 * It holds no secret: the cookie stays in its own file and is named here.
 *
 * @module
 */
import { reasonOf, WhorlError } from "../base/errors.ts";

/** Name of the file inside a data directory. */
export const CONTROL_FILE_NAME = "control.json";
const FORMAT = 1;

/** What the control file says. */
export interface ControlFile {
  /** Name of the node. */
  readonly node: string;
  /** Where it listens, `host:port`, with the real port. */
  readonly address: string;
  /** Process id of the node. */
  readonly pid: number;
  /** Absolute path of the file with the cookie, or `null` if it came another way. */
  readonly cookieFile: string | null;
}

/** Writes the control file of `dataDirectory` whole or not at all. */
export async function writeControlFile(
  dataDirectory: string,
  control: ControlFile,
): Promise<void> {
  const path = pathIn(dataDirectory);
  const fresh = `${path}.${control.pid}.new`;
  await Deno.writeTextFile(
    fresh,
    JSON.stringify({ format: FORMAT, ...control }) + "\n",
    { mode: 0o600 },
  );
  await Deno.rename(fresh, path);
}

/**
 * Reads the control file of `dataDirectory`, or `undefined` if there is none.
 *
 * @throws {WhorlError} `invalid_config` if it is there but cannot be understood.
 */
export async function readControlFile(
  dataDirectory: string,
): Promise<ControlFile | undefined> {
  const path = pathIn(dataDirectory);
  let text;
  try {
    text = await Deno.readTextFile(path);
  } catch (error) {
    if (
      error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory
    ) return undefined;
    throw unreadable(path, reasonOf(error), error);
  }
  let parsed: Partial<ControlFile> & { format?: unknown };
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw unreadable(path, "it is not JSON", error);
  }
  const { format, node, address, pid, cookieFile } = parsed ?? {};
  if (format !== FORMAT) {
    throw unreadable(path, `format must be ${FORMAT}: it is ${format}`);
  }
  if (
    typeof node !== "string" || typeof address !== "string" ||
    typeof pid !== "number"
  ) throw unreadable(path, "node, address and pid must be there");
  return {
    node,
    address,
    pid,
    cookieFile: typeof cookieFile === "string" ? cookieFile : null,
  };
}

/** Removes the control file if `pid` wrote it; a newer node's stays. */
export async function removeControlFile(
  dataDirectory: string,
  pid: number,
): Promise<void> {
  const control = await readControlFile(dataDirectory);
  if (control?.pid === pid) await Deno.remove(pathIn(dataDirectory));
}

function pathIn(dataDirectory: string): string {
  return `${dataDirectory}/${CONTROL_FILE_NAME}`;
}

function unreadable(path: string, reason: string, cause?: unknown): WhorlError {
  return new WhorlError(
    "invalid_config",
    `Cannot read the control file ${path}: ${reason}`,
    { details: { path }, cause },
  );
}
