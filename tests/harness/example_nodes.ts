/**
 * Nodes of one of `examples/` with their prompts, each in a process of its own.
 * Its `main.ts` takes the name of the node, `--port` and `--data`.
 *
 * @module
 */
import { PromptProcess } from "./prompt_process.ts";
import type { TranscriptNodes } from "./prompt_transcript.ts";

const EXAMPLES = new URL("../../examples/", import.meta.url);

/** The nodes of one test. Disposing ends them and removes their files. */
export class ExampleNodes implements TranscriptNodes, AsyncDisposable {
  readonly running = new Map<string, PromptProcess>();
  readonly #flags: readonly string[];
  readonly #folder: string;
  readonly #addresses = new Map<string, string>();

  private constructor(
    readonly example: string,
    flags: readonly string[],
    folder: string,
  ) {
    this.#flags = flags;
    this.#folder = folder;
  }

  /**
   * No nodes of `example` yet, and a folder for what they keep.
   *
   * @param flags What every node is given.
   */
  static async make(
    example: string,
    flags: readonly string[] = [],
  ): Promise<ExampleNodes> {
    return new ExampleNodes(example, flags, await Deno.makeTempDir());
  }

  /** Starts a node: on a free port, or where it was before. */
  async start(name: string, flags: readonly string[] = []): Promise<void> {
    const before = this.#addresses.get(name)?.split(":")[1] ?? "0";
    await this.running.get(name)?.[Symbol.asyncDispose]();
    const node = new PromptProcess([
      "--allow-read",
      "--allow-write",
      "--allow-net",
      "--allow-env",
      "--allow-sys",
      new URL(`${this.example}/main.ts`, EXAMPLES).href,
      name,
      "--port",
      before,
      "--data",
      `${this.#folder}/${name}`,
      ...this.#flags,
      ...flags,
    ]);
    this.running.set(name, node);
    const [address] = await node.ask("(await node.info()).address");
    if (address === undefined) {
      throw new Error(`${name} did not start:\n${node.log.join("\n")}`);
    }
    this.#addresses.set(name, JSON.parse(address));
  }

  /** Where the node of that name listens, or listened. */
  addressOf(name: string): string {
    const address = this.#addresses.get(name);
    if (address === undefined) throw new Error(`${name} was never there`);
    return address;
  }

  /** The node of that name. */
  node(name: string): PromptProcess {
    const node = this.running.get(name);
    if (node === undefined) throw new Error(`${name} does not run`);
    return node;
  }

  /** Ends all nodes and removes what they kept. */
  async clean(): Promise<void> {
    const nodes = [...this.running.values()];
    this.running.clear();
    this.#addresses.clear();
    await Promise.all(nodes.map((node) => node[Symbol.asyncDispose]()));
    for await (const { name } of Deno.readDir(this.#folder)) {
      await Deno.remove(`${this.#folder}/${name}`, { recursive: true });
    }
  }

  /** {@linkcode ExampleNodes.clean}, and the folder goes, too. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.clean();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
