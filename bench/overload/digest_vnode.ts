/**
 * Vnodes whose work is to compute: a command takes its vnode about a millisecond
 * for each megabyte, so that it is the vnodes that cannot keep up, and not who
 * asks.
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
  /** The SHA-256 of so many megabytes. */
  readonly digest: CommandDeclaration<number, Uint8Array, never>;
};

const commands: DigestCommands = { digest: command() };
const MEGABYTE = new Uint8Array(1024 * 1024);

const digestModule: VnodeModule<DigestCommands> = defineVnode({
  name: "digest",
  commands,
  init: () => ({
    handleCommand: {
      digest(megabytes) {
        const hash = createHash("sha256");
        for (let i = 0; i < megabytes; i++) hash.update(MEGABYTE);
        return new Uint8Array(hash.digest());
      },
    },
    fold: () => [],
    encodeHandoffItem: () => null,
    handleHandoffData() {},
    isEmpty: () => true,
    delete() {},
  }),
});

export default digestModule;
