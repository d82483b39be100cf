/**
 * The flags a node is started with, and the node options they come to. `start`
 * and `dev` take them from a person, `run-node` gets the same ones from its
 * parent.
 *
 * @module
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isWhorlError } from "../src/base/errors.ts";
import { moduleConfigFlags } from "../src/node/module_config.ts";
import type {
  NodeOptions,
  ProcessPlacement,
} from "../src/node/node_options.ts";
import {
  DataDirectory,
  type NodeIdentity,
} from "../src/storage/data_directory.ts";
import { systemDisk } from "../src/storage/system_disk.ts";
import { MAILBOX_BOUNDS_DEFAULT } from "../src/vnode/mailbox_bounds.ts";
import { type Flag, type Invocation, UsageError } from "./command.ts";
import { readOrCreateCookie } from "./cookie_file.ts";
import {
  COOKIE_FILE_NAME,
  makeNodeDirectory,
  NODE_FOLDER_NAME,
} from "./node_directory.ts";
import { DATA_DIRECTORY_DEFAULT } from "./session_flags.ts";
import type { World } from "./world.ts";

/** What a node is called unless told otherwise. */
export const NODE_NAME_DEFAULT = "whorl@127.0.0.1";
/** Where a node listens unless told otherwise. */
export const LISTEN_DEFAULT = "127.0.0.1:10100";

const PLACEMENTS: readonly ProcessPlacement[] = [
  "task",
  "worker",
  "subprocess",
];
const LOG_LEVELS = ["debug", "info", "warning", "error"] as const;
/** How much a node logs. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/** The flags of a node. */
export const NODE_FLAGS: readonly Flag[] = [
  {
    name: "name",
    value: "NAME@HOST",
    says: "what the node is called in its cluster",
    default: NODE_NAME_DEFAULT,
  },
  {
    name: "listen",
    value: "HOST:PORT",
    says: "where it listens; port 0 takes a free one",
    default: LISTEN_DEFAULT,
  },
  {
    name: "advertise",
    value: "HOST:PORT",
    says: "where others reach it, if that differs",
    default: "where it listens",
  },
  {
    name: "data",
    value: "DIR",
    says: "where it keeps its identity, ring and data",
    default: `$WHORL_DATA, else ${DATA_DIRECTORY_DEFAULT}`,
  },
  {
    name: "cluster",
    value: "NAME",
    says: "nodes of different clusters refuse each other",
    default: "default",
  },
  {
    name: "cookie-file",
    value: "FILE",
    says: "the secret all nodes of the cluster share; made if it is not there",
    default: `${COOKIE_FILE_NAME} in --data`,
  },
  {
    name: "cookie",
    value: "COOKIE",
    says: "the secret itself; others can see it in the process list",
    default: "$WHORL_COOKIE",
  },
  {
    name: "ring-size",
    value: "N",
    says: "partitions of a new ring: a power of two from 8 to 1024",
    default: "64",
  },
  {
    name: "storage",
    value: "KIND",
    says: "what values are kept in; memory forgets them when the node ends",
    choices: ["deno_kv", "memory"],
    default: "deno_kv",
  },
  {
    name: "masters",
    value: "N",
    says: "vnode masters of each module; fixed when the data is made",
    default: "1",
  },
  {
    name: "placement",
    value: "KIND",
    says: "where vnode masters run",
    choices: PLACEMENTS,
    default: "worker",
  },
  {
    name: "coordinators",
    value: "KIND",
    says: "where the op FSM supervisors run",
    choices: PLACEMENTS,
    default: "task",
  },
  {
    name: "module",
    value: "FILE|URL",
    says: "a vnode module to serve besides kv",
    repeats: true,
  },
  {
    name: "peer",
    value: "NAME@HOST=HOST:PORT",
    says: "reach a peer at this address, such as a proxy's",
    repeats: true,
  },
  {
    name: "requests-max",
    value: "N",
    says: "requests coordinated at once before the answer is overload",
    default: "20000",
  },
  {
    name: "kv-mailbox",
    value: "BOUND=N",
    says:
      "a bound on what may wait for each vnode of kv, such as requestsMax=500",
    repeats: true,
  },
  {
    name: "log-level",
    value: "LEVEL",
    says: "how much to log",
    choices: LOG_LEVELS,
    default: "info",
  },
];

/** What the flags of a node come to. */
export interface NodeSetup {
  readonly options: NodeOptions;
  /** The directory `--data` names, as an absolute path. */
  readonly directory: string;
  /** Absolute path of the file the cookie came from, or `null`. */
  readonly cookieFile: string | null;
  readonly logLevel: LogLevel;
  /** Flags of `deno run` without which a process cannot load the modules. */
  readonly moduleFlags: readonly string[];
}

/**
 * Reads the flags of a node; who it is, is taken from the directory where one
 * has started before and no flag says otherwise. Makes the data directory, and the cookie file if
 * that is to be used and not there. What the values mean is checked when the
 * node starts.
 *
 * @throws {UsageError} If a flag cannot be understood.
 * @throws {WhorlError} `invalid_config` if the cookie can be neither read nor made,
 * `store_foreign` or `store_unavailable` if the directory cannot be used.
 */
export async function nodeSetup(
  invocation: Invocation,
  world: World,
): Promise<NodeSetup> {
  const directory = directoryOf(invocation, world);
  const peers = Object.fromEntries(invocation.texts("peer").map(peerOf));
  const bounds = invocation.texts("kv-mailbox").map(boundOf);
  const stored = await identityIn(directory);
  const settings = given({
    advertise: invocation.text("advertise"),
    clusterName: invocation.text("cluster") ?? stored?.cluster,
    storage: invocation.text("storage") as NodeOptions["storage"],
    ringSize: invocation.count("ring-size") ?? stored?.ringSize,
    masters: invocation.count("masters", { min: 1 }) ?? stored?.masters,
    masterPlacement: invocation.text("placement") as
      | ProcessPlacement
      | undefined,
    coordinatorPlacement: invocation.text("coordinators") as
      | ProcessPlacement
      | undefined,
    requestsMax: invocation.count("requests-max", { min: 1 }),
    kvMailbox: bounds.length === 0 ? undefined : Object.fromEntries(bounds),
  });
  await makeNodeDirectory(directory);
  const { cookie, cookieFile } = await cookieFor(
    invocation,
    world,
    directory,
  );
  const modules = invocation.texts("module").map(moduleUrl);
  return {
    options: {
      name: invocation.text("name") ?? stored?.name ?? NODE_NAME_DEFAULT,
      listen: invocation.text("listen") ?? LISTEN_DEFAULT,
      dataDirectory: `${directory}/${NODE_FOLDER_NAME}`,
      cookie,
      modules: modules.map((url) => ({ url })),
      peers,
      ...settings,
    },
    directory,
    cookieFile,
    logLevel: (invocation.text("log-level") as LogLevel | undefined) ?? "info",
    moduleFlags: await moduleFlags(modules),
  };
}

async function moduleFlags(
  modules: readonly string[],
): Promise<readonly string[]> {
  // Where they, and what they import, come from is for who wrote them to say.
  const imports = modules.length > 0 ? ["--allow-import"] : [];
  for (const url of modules) {
    // One process has one import map: that of the first module that has any.
    const config = await moduleConfigFlags(url, systemDisk);
    if (config.length > 0) return [...imports, ...config];
  }
  return imports;
}

/** Who the node in the directory is, if there is one: what was fixed when it was made need not be said again. */
async function identityIn(
  directory: string,
): Promise<NodeIdentity | undefined> {
  try {
    return await DataDirectory.identityAt(
      `${directory}/${NODE_FOLDER_NAME}`,
      systemDisk,
    );
  } catch (error) {
    // The node itself says what is wrong when it starts.
    if (isWhorlError(error)) return undefined;
    throw error;
  }
}

function directoryOf(
  invocation: Invocation,
  world: World,
): string {
  return resolve(
    invocation.text("data") ??
      (world.env("WHORL_DATA") || DATA_DIRECTORY_DEFAULT),
  );
}

async function cookieFor(
  invocation: Invocation,
  world: World,
  directory: string,
): Promise<{ cookie: string; cookieFile: string | null }> {
  const cookie = invocation.text("cookie");
  const file = invocation.text("cookie-file");
  if (cookie !== undefined && file !== undefined) {
    throw new UsageError("--cookie and --cookie-file both give one: give one");
  }
  if (cookie !== undefined) return { cookie, cookieFile: null };
  const fromEnvironment = world.env("WHORL_COOKIE");
  if (file === undefined && fromEnvironment) {
    return { cookie: fromEnvironment, cookieFile: null };
  }
  const cookieFile = resolve(file ?? `${directory}/${COOKIE_FILE_NAME}`);
  return { cookie: await readOrCreateCookie(cookieFile), cookieFile };
}

function peerOf(text: string): [string, string] {
  const [name, address, ...rest] = text.split("=");
  if (!name || !address || rest.length > 0) {
    throw new UsageError(
      `--peer must be NAME@HOST=HOST:PORT: it is ${JSON.stringify(text)}`,
    );
  }
  return [name, address];
}

function boundOf(text: string): [string, number] {
  const [bound, value, ...rest] = text.split("=");
  const named = bound !== undefined &&
    Object.hasOwn(MAILBOX_BOUNDS_DEFAULT, bound);
  if (!named || !/^[1-9][0-9]*$/.test(value ?? "") || rest.length > 0) {
    throw new UsageError(
      `--kv-mailbox must be BOUND=N with N at least 1 and BOUND one of ${
        Object.keys(MAILBOX_BOUNDS_DEFAULT).join(", ")
      }: it is ${JSON.stringify(text)}`,
    );
  }
  return [bound, Number(value)];
}

function moduleUrl(text: string): string {
  return /^[a-z][a-z+.-]+:/i.test(text)
    ? text
    : pathToFileURL(resolve(text)).href;
}

/** Only the entries that have a value, as `exactOptionalPropertyTypes` asks for. */
function given<T extends Record<string, unknown>>(
  entries: T,
): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(
    Object.entries(entries).filter(([, value]) => value !== undefined),
  ) as { [Name in keyof T]?: Exclude<T[Name], undefined> };
}
