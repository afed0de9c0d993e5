/** A port that nobody listens on now: `preferred` where it is free, else one that the system picks. */
export declare function freePort(preferred?: number, host?: string): Promise<number>;
