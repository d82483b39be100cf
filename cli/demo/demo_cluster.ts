/**
 * The cluster of a demo: a folder, node processes in it, and an end that leaves
 * neither behind.
 *
 * @module
 */
import { connect, type WhorlClient } from "../../mod.ts";
import { openSession } from "../../src/node/connect.ts";
import { joinCluster } from "../dev_cluster.ts";
import { processOutput } from "../output.ts";
import { type DemoNode, endDemoNode, startDemoNode } from "./demo_node.ts";

/** Node processes in one folder, until the story about them ends. */
export class DemoCluster {
  readonly output = processOutput();
  readonly cookie = crypto.randomUUID();
  readonly nodes: DemoNode[] = [];
  readonly #stopping = new AbortController();

  /** @param root The folder of all nodes, and the only one they may write to. */
  private constructor(readonly root: string) {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      Deno.addSignalListener(signal, () => this.#stopping.abort());
    }
  }

  /** A cluster without nodes, in a new folder. */
  static async create(folderPrefix: string): Promise<DemoCluster> {
    return new DemoCluster(await Deno.makeTempDir({ prefix: folderPrefix }));
  }

  /** Fires on Ctrl-C. */
  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Prints a line. */
  readonly say = (line = ""): void => this.output.write(`${line}\n`);

  /** Starts `count` nodes: demo1, demo2 and so on. */
  async start(count: number): Promise<void> {
    for (let number = 1; number <= count; number++) {
      this.nodes.push(
        await startDemoNode({
          ...this,
          signal: this.signal,
          name: `demo${number}@127.0.0.1`,
          directory: `${this.root}/demo${number}`,
          listen: "127.0.0.1:0",
        }),
      );
    }
  }

  /** Joins the nodes into one ring. */
  async join(): Promise<void> {
    await using sessions = new AsyncDisposableStack();
    const members = [];
    for (const { name, address } of this.nodes) {
      const session = sessions.use(
        await openSession({ node: name, address }, this),
      );
      members.push({ session, up: { up: name, address } });
    }
    await joinCluster(members, this.signal);
  }

  /** Starts a node that was killed, on its directory and its address. */
  async restart(node: DemoNode): Promise<void> {
    const { child, address } = await startDemoNode({
      ...this,
      ...node,
      signal: this.signal,
      listen: node.address,
    });
    node.child = child;
    node.address = address;
  }

  /** A client of all nodes, or of one. */
  connect(nodes: readonly DemoNode[] = this.nodes): Promise<WhorlClient> {
    return connect({
      nodes: nodes.map(({ address }) => address),
      cookie: this.cookie,
      signal: this.signal,
    });
  }

  /** Plays `story`, ends the nodes, removes the folder, and ends this process. */
  async play(story: () => Promise<void>): Promise<never> {
    try {
      await story();
    } catch (error) {
      if (!this.signal.aborted) throw error;
      this.say("\nInterrupted.");
    } finally {
      await Promise.all(this.nodes.map(endDemoNode));
      await Deno.remove(this.root, { recursive: true });
    }
    Deno.exit(this.signal.aborted ? 130 : 0);
  }
}
