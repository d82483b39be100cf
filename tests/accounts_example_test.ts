import { assertEquals, assertRejects } from "@std/assert";
import {
  Accounts,
  InsufficientFundsError,
} from "../examples/accounts/accounts.ts";
import { startNode } from "../mod.ts";

Deno.test("accounts keep the total when many transfers run at once, and carry out each transfer once", async () => {
  const dataDirectory = await Deno.makeTempDir({ prefix: "whorl-" });
  try {
    await using node = await startNode({
      name: "one@127.0.0.1",
      cookie: "a secret all nodes share",
      dataDirectory,
      storage: "memory",
      masterPlacement: "task",
      ringSize: 8,
    });
    await node.raKv.startCluster("bank", [node.name]);
    const accounts = new Accounts(node.raKv, "bank");
    const names = ["ann", "bob", "cem", "dot"];
    for (const name of names) await accounts.open(name, 1_000);
    await assertRejects(() => accounts.open("ann", 5));

    let refused = 0;
    const move = async (number: number): Promise<void> => {
      const [from, to] = [
        names[number % 4]!,
        names[(number + 1 + number % 3) % 4]!,
      ];
      const args = [`t${number}`, from, to, 300] as const;
      try {
        // Twice at once, as somebody does who has not heard of the first.
        await Promise.all([
          accounts.transfer(...args),
          accounts.transfer(...args),
        ]);
      } catch (error) {
        if (!(error instanceof InsufficientFundsError)) throw error;
        refused++;
      }
    };
    await Promise.all(Array.from({ length: 40 }, (_, number) => move(number)));
    const balances = await Promise.all(
      names.map((name) => accounts.balance(name)),
    );
    assertEquals(balances.reduce((sum, cents) => sum + cents, 0), 4_000);
    assertEquals(
      balances.every((cents) => cents >= 0 && cents % 100 === 0),
      true,
    );

    const before = await accounts.balance("ann");
    await accounts.open("eve", 10);
    await accounts.transfer("gift", "eve", "ann", 10);
    await accounts.transfer("gift", "eve", "ann", 10);
    assertEquals(await accounts.balance("ann"), before + 10);
    await assertRejects(
      () => accounts.transfer("more", "eve", "ann", 1),
      InsufficientFundsError,
    );
    await assertRejects(() => accounts.balance("nobody"), Deno.errors.NotFound);
    assertEquals(refused < 40, true);
  } finally {
    await Deno.remove(dataDirectory, { recursive: true });
  }
});
