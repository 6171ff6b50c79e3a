import { ago, dollars, megabytes } from './format.js';

const SAYS = { queued: 'Queued', rendering: 'Rendering', ready: 'Ready', failed: 'Failed' };

export function VideoRow({ video, playing, onWatch, onRetry }) {
  return (
    <li data-video={video.id} data-status={video.status} className={playing ? 'playing' : undefined}>
      <span className={`status ${video.status}`}>{SAYS[video.status]}</span>
      <div className="about">
        <strong>{video.title}</strong>
        <span className="quiet">{details(video)}</span>
      </div>
      {video.status === 'ready' && (
        <button onClick={onWatch} disabled={playing}>{playing ? 'Playing' : 'Watch'}</button>
      )}
      {video.status === 'failed' && <button onClick={onRetry}>Try again</button>}
    </li>
  );
}

function details(video) {
  const parts = [ago(video.queued_at)];
  if (video.requested_by === 'automation') parts.push('by automation');
  if (video.status === 'ready') {
    parts.push(`rendered in ${video.render_seconds.toFixed(1)} s`);
    parts.push(megabytes(video.bytes), dollars(video.cost_usd));
  }
  if (video.status === 'failed') parts.push(video.problem);
  return parts.join(' · ');
}
