import { call } from './api.js';
import { dollars } from './format.js';
import { usePolled } from './usePolled.js';

const load = () => call('GET', '/overview');

export function Figures({ onProblem }) {
  const [figures] = usePolled(load, 3000, onProblem);
  if (!figures) return <div className="figures" aria-busy="true" />;
  return (
    <dl className="figures">
      <Figure name="Ready" value={figures.ready} />
      <Figure name="In the works" value={figures.queued + figures.rendering} />
      <Figure name="Failed" value={figures.failed} alert={figures.failed > 0} />
      <Figure name="Cost per video" value={dollars(figures.cost_per_video_usd)} />
    </dl>
  );
}

function Figure({ name, value, alert }) {
  return (
    <div className={alert ? 'alert' : undefined}>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
