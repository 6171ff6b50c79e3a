import { useCallback, useEffect, useRef, useState } from 'react';

// Load something now, whenever `refresh` is called, and every `period` milliseconds.
// What was loaded last stays on screen while a later load fails.
export function usePolled(load, period, onProblem) {
  const [value, setValue] = useState(null);
  const latest = useRef(load);
  latest.current = load;

  const refresh = useCallback(async () => {
    const asked = latest.current;
    try {
      const read = await asked();
      if (asked === latest.current) setValue(read);
      onProblem(null);
    } catch (problem) {
      onProblem(problem);
    }
  }, [onProblem]);

  useEffect(() => {
    setValue(null);
    refresh();
  }, [load, refresh]);

  useEffect(() => {
    const timer = setInterval(refresh, period);
    return () => clearInterval(timer);
  }, [period, refresh]);

  return [value, refresh];
}
