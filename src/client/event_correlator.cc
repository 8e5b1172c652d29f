#include "client/event_correlator.h"

#include <fmt/format.h>

#include "base/rand.h"
#include "codec/json.h"

namespace km::client {
namespace {

using api::core_v1::Event;

// Events that differ only in their message become one from this many messages on, unless the last is this old.
constexpr size_t kMaxMessages = 10;
constexpr int64_t kSimilarSeconds = 600;
// Of one source about one object.
constexpr int kSpamBurst = 25;
constexpr double kSpamQps = 1.0 / 300;

std::string objectKey(const Event& e) {
  const auto& o = e.involvedObject;
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}", e.source.component, e.source.host, o.kind, o.namespace_, o.name, o.uid,
                     o.apiVersion);
}

std::string aggregateKey(const Event& e) {
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}", objectKey(e), e.involvedObject.fieldPath, e.type, e.reason,
                     e.reportingComponent, e.reportingInstance);
}

}  // namespace

std::string eventName(std::string_view object, WallTime now) {
  std::string name =
      fmt::format("{}.{:x}", object, static_cast<uint64_t>(now.seconds) * 1'000'000'000u + static_cast<uint32_t>(now.nanos));
  return name.size() <= 253 && !object.empty() ? name : randomUuid();
}

EventCorrelator::Outcome EventCorrelator::correlate(Event event, WallTime now) {
  Outcome out;
  std::string base = aggregateKey(event);
  out.key = base + "\n" + event.message.str();

  Similar& similar = similar_[base];
  if (similar.last && now.seconds - similar.last->seconds > kSimilarSeconds) similar.messages.clear();
  similar.messages.insert(event.message.str());
  similar.last = now;
  bool combined = similar.messages.size() >= kMaxMessages;
  if (combined) {
    similar.messages.erase(similar.messages.begin());
    event.metadata.name = eventName(event.involvedObject.name, now);
    event.metadata.annotations.clear();
    event.count = 1;
    event.firstTimestamp = event.lastTimestamp = codec::Time(now);
    event.message = "(combined from similar events): " + event.message.str();
    out.key = base;
  }

  if (Seen* seen = seen_.find(out.key); seen != nullptr && seen->count > 0) {
    event.metadata.name = seen->name;
    event.metadata.resourceVersion = seen->resourceVersion;
    event.firstTimestamp = seen->first;
    event.count = seen->count + 1;
    out.patch = fmt::format("{{\"count\":{},\"lastTimestamp\":\"{}\"", event.count, event.lastTimestamp.str());
    out.patch += ",\"message\":";
    codec::appendJsonString(out.patch, event.message);
    out.patch += '}';
  }
  Seen& seen = seen_[out.key];
  seen = {event.count, event.firstTimestamp, event.metadata.name.str(), event.metadata.resourceVersion.str()};

  auto& bucket = buckets_[objectKey(event)];
  if (!bucket) bucket.emplace(kSpamQps, kSpamBurst);
  out.skip = !bucket->tryTake(std::chrono::seconds(now.seconds) + std::chrono::nanoseconds(now.nanos));
  out.event = std::move(event);
  return out;
}

void EventCorrelator::remember(const std::string& key, const Event& written) {
  seen_[key] = {written.count, written.firstTimestamp, written.metadata.name.str(), written.metadata.resourceVersion.str()};
}

}  // namespace km::client
