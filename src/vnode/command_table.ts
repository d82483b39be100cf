/**
 * The commands and coverage queries of a module by their numbers on the wire, and
 * the handlers of a vnode in the same order.
 *
 * @module
 */
import { WhorlError } from "../base/errors.ts";
import type { CommandDeclaration, VnodeCall, VnodeModule } from "./vnode.ts";

/** The handler of a command; its declaration types what it takes. */
export type BoundHandler = (request: unknown, call: VnodeCall) => unknown;

/** The declared commands of a module in wire order. */
export interface CommandTable {
  readonly names: readonly string[];
  readonly declarations: readonly CommandDeclaration[];
  /** Its coverage queries. */
  readonly coverageNames: readonly string[];
  readonly coverageDeclarations: readonly CommandDeclaration[];
}

/** The commands of `module` as a table by wire number. */
export function commandTableOf(module: VnodeModule): CommandTable {
  return {
    names: Object.keys(module.commands),
    declarations: Object.values(module.commands),
    coverageNames: Object.keys(module.coverage),
    coverageDeclarations: Object.values(module.coverage),
  };
}

/**
 * The handlers of a vnode for `names`, in their order.
 *
 * @param what What they handle, for error messages.
 * @throws {WhorlError} `vnode_module_failed` if one is missing.
 */
// deno-lint-ignore ban-types -- what a handler takes is its declaration's business.
export function handlersOf<H extends Function>(
  moduleName: string,
  what: string,
  names: readonly string[],
  handlers: Readonly<Record<string, unknown>> | undefined,
): H[] {
  return names.map((name) => {
    const handler = handlers?.[name];
    if (typeof handler !== "function") {
      throw new WhorlError(
        "vnode_module_failed",
        `Cannot start a vnode of '${moduleName}' as it has no handler for its ${what} '${name}'`,
      );
    }
    return handler.bind(handlers) as H;
  });
}
