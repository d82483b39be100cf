/**
 * Evaluates typed code with the semantics of a REPL: top-level `await`, `let`
 * that persists and can be redeclared, the value of the last expression. V8's
 * inspector does all of this in the same thread, so there is no source
 * rewriting here that could go wrong.
 *
 * @module
 */
import { Session } from "node:inspector";
import v8 from "node:v8";
import { WhorlError } from "../base/errors.ts";
import { isIncomplete } from "./incomplete_input.ts";

/** Longest time code may run without awaiting, in milliseconds; then it is stopped. */
export const SYNC_RUN_MS_MAX = 10_000;

/** The outcome of an evaluation. */
export type Evaluation =
  | { readonly type: "value"; readonly value: unknown }
  | { readonly type: "thrown"; readonly error: unknown }
  /** The code is incomplete; ask for another line. */
  | { readonly type: "incomplete" };

/** Where values are handed over by number, since the inspector returns references, not values. */
const HANDOVER = Symbol.for("whorl.prompt.handover");

interface RemoteObject {
  readonly type: string;
  readonly subtype?: string;
  readonly objectId?: string;
  readonly value?: unknown;
  readonly unserializableValue?: string;
  readonly description?: string;
}

interface EvaluateResult {
  readonly result: RemoteObject;
  readonly exceptionDetails?: {
    readonly exception?: RemoteObject;
    readonly text: string;
  };
}

/**
 * Evaluates code in this thread's global scope, one piece at a time. Disposing
 * disconnects from V8's inspector and restores the globals that were replaced.
 */
export class Evaluator implements Disposable {
  #session = new Session();
  /** V8's reference to the global object, which functions are called on. */
  #globalId: Promise<string>;
  #globals = globalThis as Record<PropertyKey, unknown>;
  #handover = new Map<number, unknown>();
  #handoverCount = 0;
  /** The promises of code that is running; see {@linkcode firstPromiseBornIn}. */
  #underWay = new Set<Promise<unknown>>();

  #syncRunMsMax: number;

  /** The former definitions of replaced globals; `undefined` where there was none. */
  #former = new Map<PropertyKey, PropertyDescriptor | undefined>();

  /**
   * Makes the entries of `scope` global.
   *
   * @throws {WhorlError} `invalid_argument` if another evaluator exists in this
   * thread.
   */
  constructor(
    scope: Readonly<Record<string, unknown>>,
    syncRunMsMax = SYNC_RUN_MS_MAX,
  ) {
    if (Object.hasOwn(globalThis, HANDOVER)) {
      throw new WhorlError(
        "invalid_argument",
        "Cannot open a prompt as another one is open in this thread",
      );
    }
    this.#syncRunMsMax = syncRunMsMax;
    this.#session.connect();
    this.#globalId = this.#begin();
    // Not an unhandled rejection if the inspector is disconnected before
    // anything is evaluated.
    this.#globalId.catch(() => {});
    this.#define(HANDOVER, this.#handover);
    this.#define("_", undefined);
    for (const [name, value] of Object.entries(scope)) {
      this.#define(name, value);
    }
  }

  /** Evaluates `code`. Never throws: an exception of the code is a result. */
  async evaluate(code: string): Promise<Evaluation> {
    let evaluated: EvaluateResult;
    try {
      evaluated = await this.#run(code);
    } catch (cause) {
      // V8 answers with a bare error for code that it terminated.
      const limit = `${this.#syncRunMsMax / 1000} s`;
      const message = `Stopped: code may run ${limit} without awaiting`;
      return { type: "thrown", error: new Error(message, { cause }) };
    }
    const { result, exceptionDetails } = evaluated;
    if (exceptionDetails === undefined) {
      const value = await this.#valueOf(result);
      // Code without a result leaves the last one in place.
      if (value !== undefined) this.#globals["_"] = value;
      return { type: "value", value };
    }
    const error = exceptionDetails.exception === undefined
      ? new Error(exceptionDetails.text)
      : await this.#valueOf(exceptionDetails.exception);
    if (error instanceof SyntaxError && isIncomplete(code, error.message)) {
      return { type: "incomplete" };
    }
    return { type: "thrown", error };
  }

  /** Completions after `path`: the members of its value, or globals if it is empty. */
  async membersOf(path: string): Promise<string[]> {
    if (path === "") {
      const { names } = await this.#post<{ names: string[] }>(
        "Runtime.globalLexicalScopeNames",
        {},
      );
      return [...names, ...Object.getOwnPropertyNames(globalThis)];
    }
    // Evaluated without side effects: a getter that has some is not run.
    const { result, exceptionDetails } = await this.#post<EvaluateResult>(
      "Runtime.evaluate",
      { expression: path, throwOnSideEffect: true, timeout: 100 },
    );
    if (exceptionDetails !== undefined) return [];
    const value = await this.#valueOf(result);
    const members = new Set<string>();
    for (
      let holder = value === undefined || value === null ? null : Object(value);
      holder !== null && holder !== Object.prototype;
      holder = Object.getPrototypeOf(holder)
    ) {
      for (const name of Object.getOwnPropertyNames(holder)) {
        if (name !== "constructor") members.add(name);
      }
    }
    return [...members];
  }

  #define(name: PropertyKey, value: unknown): void {
    this.#former.set(name, Object.getOwnPropertyDescriptor(globalThis, name));
    Object.defineProperty(globalThis, name, {
      value,
      writable: true,
      configurable: true,
      enumerable: false,
    });
  }

  async #begin(): Promise<string> {
    await this.#post("Runtime.enable");
    const { result } = await this.#evaluateOnce("globalThis");
    return result.objectId!;
  }

  async #run(code: string): Promise<EvaluateResult> {
    // `{a: 1}` at a prompt means an object, but parses as a block.
    if (/^\s*\{/.test(code) && !/;\s*$/.test(code)) {
      const wrapped = await this.#evaluateOnce(`(${code}\n)`);
      const { exception } = wrapped.exceptionDetails ?? {};
      const isSyntax = exception?.description?.startsWith("SyntaxError") &&
        exception.subtype === "error";
      if (!isSyntax) return wrapped;
    }
    return await this.#evaluateOnce(code);
  }

  #evaluateOnce(expression: string): Promise<EvaluateResult> {
    return this.#post("Runtime.evaluate", {
      expression,
      replMode: true,
      awaitPromise: true,
      timeout: this.#syncRunMsMax,
    });
  }

  async #valueOf(remote: RemoteObject): Promise<unknown> {
    // By number, as a completion can run while another one or a command does.
    const number = this.#handoverCount++;
    await this.#post("Runtime.callFunctionOn", {
      functionDeclaration:
        `function (number, value) { globalThis[Symbol.for("whorl.prompt.handover")].set(number, value); }`,
      arguments: [{ value: number }, argumentFor(remote)],
      objectId: await this.#globalId,
    });
    const value = this.#handover.get(number);
    this.#handover.delete(number);
    return value;
  }

  async #post<T>(
    method: string,
    params: Record<string, unknown> = {},
  ): Promise<T> {
    const { promise: answer, resolve, reject } = Promise.withResolvers<T>();
    const ofCode = firstPromiseBornIn(() =>
      this.#session.post(
        method,
        params,
        (error, result) => error ? reject(error) : resolve(result as T),
      )
    );
    if (ofCode === undefined) return await answer;
    this.#underWay.add(ofCode);
    try {
      return await answer;
    } finally {
      this.#underWay.delete(ofCode);
    }
  }

  [Symbol.dispose](): void {
    this.#session.disconnect();
    this.#underWay.clear();
    for (const [name, former] of this.#former) {
      delete this.#globals[name];
      if (former !== undefined) Object.defineProperty(globalThis, name, former);
    }
    this.#former.clear();
  }
}

/**
 * {})`) is garbage, and when it is collected V8's inspector tells who waits for
 * it, in the midst of the collection, where running JavaScript ends the
 * process. => Calls `begin` and returns the first promise created meanwhile: if
 * `begin` starts code, that is the promise of the code. It must be kept
 * reachable until the inspector has answered. A promise that can never settle
 * (`await new Promise(() => {})`) would be collected, and V8's inspector then
 * calls back in the middle of the collection, where running JavaScript crashes
 * the process. => {})`) is garbage, and when it is collected V8's inspector
 * tells who waits for it, in the midst of the collection, where running
 * JavaScript ends the process.
 */
function firstPromiseBornIn(begin: () => void): Promise<unknown> | undefined {
  let first: Promise<unknown> | undefined;
  const stop = v8.promiseHooks.onInit((born: Promise<unknown>) => {
    first ??= born;
  });
  try {
    begin();
  } finally {
    stop();
  }
  return first;
}

function argumentFor(remote: RemoteObject): Record<string, unknown> {
  if (remote.objectId !== undefined) return { objectId: remote.objectId };
  if (remote.unserializableValue !== undefined) {
    return { unserializableValue: remote.unserializableValue };
  }
  return remote.type === "undefined" ? {} : { value: remote.value };
}
