/**
 * Accounts in a cluster of `ra_kv`: money moves between two of them in one
 * batch that holds only if neither has changed since it was read, so none is
 * made or lost, however many move it at once.
 *
 * Each transfer has an id and leaves a receipt under it in the same batch. A
 * transfer whose outcome is unknown, because its leader was lost, is simply
 * tried again: if the receipt exists, it was carried out.
 *
 * @module
 */
import { type RaKvClient, raKvOutcomeUnknown, WhorlError } from "../../mod.ts";

/** Receipts are kept for a day. */
const RECEIPT_TTL_MS = 24 * 60 * 60 * 1000;

/** The account has less than the transfer would move. */
export class InsufficientFundsError extends Error {
  /** Its name in messages. */
  override readonly name = "InsufficientFundsError";
}

/** Accounts, by name, in whole cents. */
export class Accounts {
  readonly #raKv: RaKvClient;
  readonly #cluster: string;

  /** @param cluster A cluster of `ra_kv` that has been started. */
  constructor(raKv: RaKvClient, cluster: string) {
    this.#raKv = raKv;
    this.#cluster = cluster;
  }

  /** Opens an account. @throws {WhorlError} `index_mismatch` if there is one of that name. */
  async open(account: string, cents: number): Promise<void> {
    await this.#raKv.compareAndSet(
      this.#cluster,
      `account/${account}`,
      0,
      cents,
    );
  }

  /** What is on it now. @throws {Deno.errors.NotFound} If there is none of that name. */
  async balance(account: string): Promise<number> {
    return (await this.#read(account)).cents;
  }

  /**
   * Moves `cents` from one account to another, once, however often it is called
   * with the same `id`.
   *
   * @throws {InsufficientFundsError} If there are not as many.
   */
  async transfer(
    id: string,
    from: string,
    to: string,
    cents: number,
  ): Promise<void> {
    const receipt = `receipt/${id}`;
    while (!await this.#has(receipt)) {
      const [source, target] = await Promise.all([
        this.#read(from),
        this.#read(to),
      ]);
      if (source.cents < cents) {
        // This same transfer may have taken it meanwhile.
        if (await this.#has(receipt)) return;
        throw new InsufficientFundsError(
          `Cannot move ${cents} from ${from} as there are ${source.cents}`,
        );
      }
      try {
        await this.#raKv.batch(this.#cluster, [
          {
            type: "put",
            key: `account/${from}`,
            value: source.cents - cents,
            ifIndex: source.index,
          },
          {
            type: "put",
            key: `account/${to}`,
            value: target.cents + cents,
            ifIndex: target.index,
          },
          {
            type: "put",
            key: receipt,
            value: { from, to, cents },
            ifIndex: 0,
            ttlMs: RECEIPT_TTL_MS,
          },
        ]);
        return;
      } catch (error) {
        // Another transfer was faster, or the outcome is unknown: the receipt
        // tells.
        const again = raKvOutcomeUnknown(error) ||
          error instanceof WhorlError && error.code === "index_mismatch";
        if (!again) throw error;
      }
    }
  }

  async #has(key: string): Promise<boolean> {
    const { value } = await this.#raKv.get(this.#cluster, key);
    return value !== undefined;
  }

  async #read(
    account: string,
  ): Promise<{ readonly cents: number; readonly index: number }> {
    const { value, index } = await this.#raKv.get(
      this.#cluster,
      `account/${account}`,
    );
    if (typeof value !== "number") {
      throw new Deno.errors.NotFound(`There is no account '${account}'`);
    }
    return { cents: value, index };
  }
}
