/**
 * Vnodes that are busy with each command, so that it is they who cannot keep up,
 * and not who asks: one computes, about a millisecond for each megabyte; one
 * keeps its thread and leaves the processors to others, as vnodes on machines of
 * their own would.
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
export type BusyCommands = {
  /** The SHA-256 of so many megabytes. */
  readonly digest: CommandDeclaration<number, Uint8Array, never>;
  /** Nothing, in so many milliseconds. */
  readonly hold: CommandDeclaration<number, null, never>;
};

const commands: BusyCommands = { digest: command(), hold: command() };
const MEGABYTE = new Uint8Array(1024 * 1024);
/** Nobody wakes who waits for it. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));

const busyModule: VnodeModule<BusyCommands> = defineVnode({
  name: "busy",
  commands,
  init: () => ({
    handleCommand: {
      digest(megabytes) {
        const hash = createHash("sha256");
        for (let i = 0; i < megabytes; i++) hash.update(MEGABYTE);
        return new Uint8Array(hash.digest());
      },
      hold(ms) {
        Atomics.wait(NEVER, 0, 0, ms);
        return null;
      },
    },
    fold: () => [],
    encodeHandoffItem: () => null,
    handleHandoffData() {},
    isEmpty: () => true,
    delete() {},
  }),
});

export default busyModule;
