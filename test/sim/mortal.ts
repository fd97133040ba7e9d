/** Of an agent, from its start to its end. */
export interface Life {
  over: boolean;
}

/** A port that does nothing any more, and answers nothing, once the life of the agent that uses it is over. */
export function mortal<T extends object>(port: T, life: Life): T {
  const never = () => new Promise<never>(() => undefined);
  return new Proxy(port, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => {
        if (life.over) return never();
        const result: unknown = member.apply(target, args);
        if (!(result instanceof Promise)) return result;
        return result.then(
          (value: unknown) => (life.over ? never() : value),
          (error: unknown) => (life.over ? never() : Promise.reject(error)),
        );
      };
    },
  });
}
