/** Holds up who waits for it until a test opens it; shut when it is new. */
export class Gate {
  #open: () => void = () => {};
  opened: Promise<void> = this.#renewed();

  open(): void {
    this.#open();
  }

  shut(): void {
    this.opened = this.#renewed();
  }

  #renewed(): Promise<void> {
    return new Promise((resolve) => {
      this.#open = resolve;
    });
  }
}
