/**
 * Vnodes whose work is to compute: each command takes its vnode about a
 * millisecond, so that it is the vnodes that cannot keep up, and not who asks.
 *
 * @module
 */
import { createHash } from "node:crypto";
import {
  command,
  type CommandDeclaration,
  defineVnode,
  type VnodeModule,
} from "../../mod.ts";

/** The commands of the module. */
export type DigestCommands = {
  /** The SHA-256 of a megabyte. */
  readonly digest: CommandDeclaration<undefined, Uint8Array, never>;
};

const commands: DigestCommands = { digest: command() };
const MEGABYTE = new Uint8Array(1024 * 1024);

const digestModule: VnodeModule<DigestCommands> = defineVnode({
  name: "digest",
  commands,
  init: () => ({
    handleCommand: {
      digest: () =>
        new Uint8Array(createHash("sha256").update(MEGABYTE).digest()),
    },
    fold: () => [],
    encodeHandoffItem: () => null,
    handleHandoffData() {},
    isEmpty: () => true,
    delete() {},
  }),
});

export default digestModule;
