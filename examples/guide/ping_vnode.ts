/**
 * The smallest vnode module: it says where it runs. `docs/guide.md` begins with
 * it.
 *
 * @module
 */
import {
  command,
  type CommandDeclaration,
  defineVnode,
  type VnodeModule,
} from "../../mod.ts";

/** The commands of the module. */
export type PingCommands = {
  readonly ping: CommandDeclaration<
    undefined,
    { readonly node: string; readonly partition: number },
    never
  >;
};

const pingModule: VnodeModule<PingCommands> = defineVnode({
  name: "ping",
  commands: { ping: command() } as PingCommands,
  init: (partition, { node }) => ({
    handleCommand: { ping: () => ({ node, partition }) },
    // It keeps nothing, so there is nothing to hand over.
    fold: () => [],
    encodeHandoffItem: () => null,
    handleHandoffData: () => {},
    isEmpty: () => true,
    delete: () => {},
  }),
});

export default pingModule;
