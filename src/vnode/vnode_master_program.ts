/**
 * A vnode master as a child program: the same in a task, a worker and a
 * subprocess. It loads the module, opens the store, and runs until it is
 * stopped.
 *
 * @module
 */
import type {
  Program,
  ProgramContext,
  RunningProgram,
} from "../../supervisors/program.ts";
import { crash } from "../../supervisors/exit_reason.ts";
import { reasonOf, WhorlError } from "../base/errors.ts";
import { seededChance } from "../base/chance.ts";
import type { Environment } from "../environment/environment.ts";
import type { StoreConfig } from "../environment/storage.ts";
import type { MailboxBounds } from "./mailbox_bounds.ts";
import type { VnodeModule } from "./vnode.ts";
import { VnodeMaster } from "./vnode_master.ts";

/** The start message of a master: plain data. */
export interface VnodeMasterArgs {
  /** URL of the file whose default export is the module. */
  readonly moduleUrl: string;
  /** Name the module must have. */
  readonly moduleName: string;
  readonly node: string;
  /** Partitions of each generation of the ring, by the number of its first vnode. */
  readonly ringSizes: readonly (readonly [number, number])[];
  /** See {@linkcode VnodeMasterOptions.formerVnodes}. */
  readonly formerVnodes: readonly number[];
  /** See {@linkcode VnodeMasterOptions.boundVnodes}. */
  readonly boundVnodes: readonly number[];
  readonly store: StoreConfig;
  /** Seed of its random numbers. */
  readonly seed: string;
  /** Mailbox bounds of each vnode. @default {those the module declares} */
  readonly mailbox?: MailboxBounds;
}

/**
 * The program of a vnode master in `environment`; with `module` it need not be
 * loaded.
 *
 * @param onMaster Called with each master that runs, for tasks.
 */
export function vnodeMasterProgram(
  environment: Environment,
  module?: VnodeModule,
  onMaster?: (master: VnodeMaster) => void,
): Program {
  return async (context: ProgramContext): Promise<RunningProgram> => {
    const args = context.args as VnodeMasterArgs;
    const loaded = module ?? await loadVnodeModule(args.moduleUrl);
    if (loaded.name !== args.moduleName) {
      throw new WhorlError(
        "vnode_module_failed",
        `Cannot run ${args.moduleUrl} as its module must be called '${args.moduleName}': it is called '${loaded.name}'`,
      );
    }
    const store = await environment.openStore(args.store);
    const master = new VnodeMaster({
      module: args.mailbox === undefined
        ? loaded
        : { ...loaded, mailbox: args.mailbox },
      node: args.node,
      ringSizes: new Map(args.ringSizes),
      formerVnodes: args.formerVnodes,
      boundVnodes: args.boundVnodes,
      store,
      runtime: context.runtime,
      wallClock: () => environment.wallClock(),
      chance: seededChance(args.seed),
      secretBytes: (count) => environment.secretBytes(count),
      log: environment.log,
      send: (message) => context.send(message),
      sink: { sameThread: context.placement === "task" },
      onFailed: (error) => {
        // A failed store is closed before the next master opens it.
        const end = (): void => context.exit(crash(error));
        master.stop().then(end, end);
      },
    });
    await master.start();
    context.onMessage((message) => master.receive(message));
    onMaster?.(master);
    return { stop: () => master.stop() };
  };
}

/**
 * Loads a vnode module.
 *
 * @throws {WhorlError} `vnode_module_failed`, naming the URL, if it does not
 * load or its default export is no vnode module.
 */
export async function loadVnodeModule(url: string): Promise<VnodeModule> {
  let exports: { default?: unknown };
  try {
    exports = await import(url);
  } catch (cause) {
    throw new WhorlError(
      "vnode_module_failed",
      `Cannot load the vnode module ${url}: ${reasonOf(cause)}`,
      { cause },
    );
  }
  const module = exports.default as Partial<VnodeModule> | undefined;
  if (
    typeof module?.name !== "string" ||
    !/^[a-z][a-z0-9_]{0,31}$/.test(module.name) ||
    typeof module.init !== "function" ||
    typeof module.commands !== "object" || module.commands === null ||
    typeof module.coverage !== "object" || module.coverage === null
  ) {
    throw new WhorlError(
      "vnode_module_failed",
      `Cannot run ${url} as its default export is not a vnode module: make one with defineVnode()`,
    );
  }
  return module as VnodeModule;
}
