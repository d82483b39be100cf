/**
 * A network namespace for each node, joined by a bridge: an Ethernet of their
 * own on which packets can be lost. Names begin with the run's own, so that
 * what a killed run has left can be found and removed.
 *
 * @module
 */
import { LOSS_TABLE, lossRule, run } from "./machine.ts";

/** The namespaces of a run. Disposing removes them. */
export class Namespaces implements AsyncDisposable {
  readonly #prefix: string;
  readonly #network: number;
  readonly #count: number;

  private constructor(prefix: string, network: number, count: number) {
    this.#prefix = prefix;
    this.#network = network;
    this.#count = count;
  }

  /**
   * Makes `count` namespaces.
   *
   * @param prefix What their names begin with, at most eight characters.
   * @param network From 0 to 255; another one for each run on the machine.
   */
  static async make(
    prefix: string,
    network: number,
    count: number,
  ): Promise<Namespaces> {
    const made = new Namespaces(prefix, network, count);
    try {
      await made.#make();
    } catch (error) {
      await made[Symbol.asyncDispose]();
      throw error;
    }
    return made;
  }

  async #make(): Promise<void> {
    const bridge = `${this.#prefix}br`;
    await run("ip", "link", "add", bridge, "type", "bridge");
    await run("ip", "addr", "add", `${this.hostAddress}/24`, "dev", bridge);
    await run("ip", "link", "set", bridge, "up");
    for (let i = 0; i < this.#count; i++) {
      const [name, end] = [this.#name(i), `${this.#prefix}v${i}`];
      const inside = ["ip", "-n", name] as const;
      await run("ip", "netns", "add", name);
      await run(
        ...["ip", "link", "add", end, "type", "veth"] as const,
        ...["peer", "name", "eth0", "netns", name],
      );
      await run("ip", "link", "set", end, "master", bridge, "up");
      await run(
        ...inside,
        "addr",
        "add",
        `${this.address(i)}/24`,
        "dev",
        "eth0",
      );
      await run(...inside, "link", "set", "eth0", "up");
      await run(...inside, "link", "set", "lo", "up");
      for (const rule of LOSS_TABLE) await this.#nft(i, rule);
    }
  }

  #name(index: number): string {
    return `${this.#prefix}n${index}`;
  }

  #nft(index: number, rule: readonly string[]): Promise<string> {
    return run("ip", "netns", "exec", this.#name(index), "nft", ...rule);
  }

  /** Where the driver is reached from inside. */
  get hostAddress(): string {
    return `10.213.${this.#network}.1`;
  }

  /** Where node `index` is reached. */
  address(index: number): string {
    return `10.213.${this.#network}.${10 + index}`;
  }

  /** Words that run a command as node `index`. */
  prefix(index: number): readonly string[] {
    return ["ip", "netns", "exec", this.#name(index)];
  }

  /** Loses so many packets in a hundred that arrive at node `index`; 0 loses none. */
  async lose(index: number, percent: number): Promise<void> {
    await this.#nft(index, ["flush", "chain", "inet", "nemesis", "arrival"]);
    if (percent > 0) await this.#nft(index, lossRule(percent));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeNamespaces(this.#prefix);
  }
}

/** Removes all namespaces and links whose names begin with `prefix`. */
export async function removeNamespaces(prefix: string): Promise<void> {
  const list = await run("ip", "netns", "list");
  for (const line of list.split("\n")) {
    const name = line.split(" ")[0] as string;
    // The links of a namespace go with it.
    if (name.startsWith(prefix)) await run("ip", "netns", "del", name);
  }
  const links = await run("ip", "-o", "link", "show", "type", "bridge");
  if (links.includes(`: ${prefix}br:`)) {
    await run("ip", "link", "del", `${prefix}br`);
  }
}
