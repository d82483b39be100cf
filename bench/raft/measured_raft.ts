/**
 * Node processes of one ring, three of them unless told otherwise, each with a data directory, for benchmarks
 * of Raft. Disposing ends them and removes their files.
 *
 * @module
 */
import { MeasuredProcess } from "../measured_process.ts";
import { joinAll } from "../measured_ring.ts";

const NODE = new URL("./node_process.ts", import.meta.url);
/** Name of the group that most figures are of. */
export const GROUP = "bench";

/** See the module comment. */
export class MeasuredRaft implements AsyncDisposable {
  readonly nodes: MeasuredProcess[] = [];
  readonly #scratch: string;

  private constructor(scratch: string) {
    this.#scratch = scratch;
  }

  /** Starts and joins them. */
  static async start(count = 3): Promise<MeasuredRaft> {
    const cluster = new MeasuredRaft(
      await Deno.makeTempDir({ prefix: "whorl-bench-" }),
    );
    try {
      for (let at = 0; at < count; at++) {
        cluster.nodes.push(cluster.#process(at));
      }
      await joinAll(cluster.nodes);
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  #process(at: number, listen = "127.0.0.1:0"): MeasuredProcess {
    return new MeasuredProcess(NODE, {
      name: this.nameOf(at),
      cookie: "bench",
      listen,
      storage: "memory",
      ringSize: 16,
      masterPlacement: "task",
      dataDirectory: `${this.#scratch}/${at}`,
    });
  }

  /** Name of a node. */
  nameOf(at: number): string {
    return `bench${at + 1}@127.0.0.1`;
  }

  /** Number of the node called `name`. */
  indexOf(name: string): number {
    return Number(name[5]) - 1;
  }

  /** Starts a group on all of them; resolves to the node that leads it. */
  async startGroup(cluster = GROUP): Promise<MeasuredProcess> {
    const { leader } = await (this.nodes[0] as MeasuredProcess).order<
      { leader: string }
    >({
      do: "start",
      cluster,
      members: this.nodes.map((_, at) => this.nameOf(at)),
    });
    return this.nodes[this.indexOf(leader)] as MeasuredProcess;
  }

  /** Starts a node that was killed, with what it has on disk; resolves when it is up. */
  async startAgain(at: number): Promise<MeasuredProcess> {
    const again = this.#process(
      at,
      (this.nodes[at] as MeasuredProcess).address,
    );
    this.nodes[at] = again;
    await again.up();
    return again;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node[Symbol.asyncDispose]()));
    await Deno.remove(this.#scratch, { recursive: true });
  }
}
