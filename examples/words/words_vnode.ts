/**
 * A vnode module that leaves to others what takes long: workers count the words
 * of a text, and a pool waits for its compression. Its vnodes go on meanwhile, and
 * say `overload` when too much comes. It keeps no data.
 *
 * @module
 */
import {
  answersLater,
  command,
  type CommandDeclaration,
  defineVnode,
  type VnodeModule,
} from "../../mod.ts";

/** The commands of the module. Their order is their number on the wire. */
export type WordsCommands = {
  /** How often each word stands in a text. */
  readonly count: CommandDeclaration<string, Record<string, number>, never>;
  /** How many bytes a text has when it is compressed. */
  readonly packedSize: CommandDeclaration<string, number, never>;
};

const commands: WordsCommands = { count: command(), packedSize: command() };

async function packedSize(text: string, signal: AbortSignal): Promise<number> {
  const packed = new Blob([text]).stream().pipeThrough(
    new CompressionStream("gzip"),
    { signal },
  );
  return (await new Response(packed).arrayBuffer()).byteLength;
}

const wordsModule: VnodeModule<WordsCommands> = defineVnode({
  name: "words",
  commands,
  // A text may have a megabyte; ten of them are enough to wait for one vnode.
  mailbox: { requestsMax: 1_000, bytesMax: 10 * 1024 * 1024 },
  pools: { packing: { size: 4, queueMax: 100 } },
  workers: {
    counting: { size: 2, url: new URL("./count_words.ts", import.meta.url) },
  },
  init: (_partition, context) => ({
    handleCommand: {
      count(text, call) {
        context.workers("counting").run(text, call).then(
          (counts) => call.reply(counts as Record<string, number>),
          (error) => call.reject(error),
        );
        return answersLater;
      },
      packedSize(text, call) {
        context.pool("packing").run((signal) => packedSize(text, signal), call)
          .then(
            (byteCount) => call.reply(byteCount),
            (error) => call.reject(error),
          );
        return answersLater;
      },
    },
    fold: () => [],
    encodeHandoffItem: () => null,
    handleHandoffData() {},
    isEmpty: () => true,
    delete() {},
  }),
});

export default wordsModule;
