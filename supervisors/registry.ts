/**
 * Names for processes. A name belongs to one living process and is free again
 * when that ends.
 *
 * @module
 */
import type { Child, ExitListener } from "./child.ts";
import { SupervisorError } from "./supervisor_error.ts";

/** Finds processes by name. */
export class Registry<C extends Child = Child> {
  readonly #names = new Map<string, C>();
  readonly #listeners = new Map<string, ExitListener>();

  /**
   * Gives `child` the name until it ends. A child that has ended gets none.
   *
   * @throws {SupervisorError} `already_registered` if another living process has it.
   */
  register(name: string, child: C): void {
    const holder = this.#names.get(name);
    if (holder === child) return;
    if (holder !== undefined) {
      throw new SupervisorError(
        "already_registered",
        `Cannot register '${name}' as another process has this name`,
        { details: { name } },
      );
    }
    if (child.exitReason !== undefined) return;
    this.#names.set(name, child);
    const listener: ExitListener = () => this.unregister(name);
    this.#listeners.set(name, listener);
    child.onExit(listener);
  }

  /** The process of this name, or `undefined`. */
  whereis(name: string): C | undefined {
    return this.#names.get(name);
  }

  /** Frees the name. False if no process had it. */
  unregister(name: string): boolean {
    this.#names.get(name)?.offExit(this.#listeners.get(name)!);
    this.#listeners.delete(name);
    return this.#names.delete(name);
  }

  /** All names in use. */
  names(): string[] {
    return [...this.#names.keys()];
  }
}
