/**
 * app_name on nodes as they will be: processes of their own, TCP, disks.
 *
 * @module
 */
import assert from "node:assert/strict";
import { connect, isWhorlError } from "@whorl/whorl";
import { AppNameApi } from "./app_name_api.ts";

const COOKIE = "a secret of this test";
const MAIN = new URL("./main.ts", import.meta.url).pathname;

/** The process of a node. */
class NodeProcess implements AsyncDisposable {
  /** Resolves to where it listens. */
  readonly address: Promise<string>;
  readonly #process: Deno.ChildProcess;

  /** Starts it. @param folder Where it keeps its data. @param join A member to join. */
  constructor(name: string, folder: string, join?: string) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--allow-all",
        "--unstable-kv",
        MAIN,
        "--no-prompt",
        `--name=${name}@127.0.0.1`,
        `--data=${folder}/${name}`,
        ...(join === undefined ? [] : [`--join=${join}`]),
      ],
      env: { WHORL_COOKIE: COOKIE },
      stderr: "piped",
    }).spawn();
    this.address = this.#read();
    // Whoever waits for it is told; a process that is ended first need not be.
    this.address.catch(() => {});
  }

  /** Reads what it says to the end; where it listens is in one of the lines. */
  #read(): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const read = async () => {
      let said = "";
      const text = this.#process.stderr.pipeThrough(new TextDecoderStream());
      for await (const piece of text) {
        said += piece;
        const address = / is up at (\S+)\n/.exec(said)?.[1];
        if (address !== undefined) resolve(address);
      }
      reject(new Error(`The node has ended: ${said}`));
    };
    read();
    return promise;
  }

  /** Ends it as a loss of power would. */
  async kill(): Promise<void> {
    try {
      this.#process.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // It has ended already.
    }
    await this.#process.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

Deno.test("app_name has what was added, through every node, while one is killed and when it is back", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await using one = new NodeProcess("one", folder);
    const first = await one.address;
    await using two = new NodeProcess("two", folder, first);
    await using three = new NodeProcess("three", folder, first);
    const nodes = await Promise.all([first, two.address, three.address]);
    const texts: string[] = [];
    for (const [number, address] of nodes.entries()) {
      await using client = await connect({ nodes: [address], cookie: COOKIE });
      const text = `from node ${number}`;
      await new AppNameApi(client).add("milk", text);
      texts.push(text);
    }

    await three.kill();
    await using client = await connect({ nodes, cookie: COOKIE });
    const api = new AppNameApi(client);
    const id = crypto.randomUUID();
    await eventually(() => api.add("milk", "while one is down", id));
    texts.push("while one is down");
    assert.deepEqual(await eventually(() => textsOf(api)), texts.toSorted());

    await using again = new NodeProcess("three", folder);
    await using back = await connect({
      nodes: [await again.address],
      cookie: COOKIE,
    });
    const viaThree = new AppNameApi(back);
    assert.deepEqual(
      await eventually(() => textsOf(viaThree)),
      texts.toSorted(),
    );
    const lists = await eventually(() => Array.fromAsync(viaThree.lists()));
    assert.deepEqual(lists, ["milk"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** Tries `ask` until it succeeds: a node that has just started must find the others first. */
async function eventually<T>(ask: () => Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + 20_000;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (!isWhorlError(error) || performance.now() > deadlineMs) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function textsOf(api: AppNameApi): Promise<string[]> {
  return (await api.entries("milk")).map(({ text }) => text).sort();
}
