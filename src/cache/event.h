// One change of a stored object, shared by everyone who watches it.
#pragma once

#include <atomic>
#include <memory>

#include "api/object.h"

namespace km::cache {

enum class EventType : uint8_t { kAdded, kModified, kDeleted };

class Event {
 public:
  Event(EventType type, api::ObjectPtr object, api::ObjectPtr prev, int64_t revision)
      : type(type), object(std::move(object)), prev(std::move(prev)), revision(revision) {}

  const EventType type;
  const api::ObjectPtr object;  // the new version; of a deletion the last one, with the deletion's resourceVersion
  const api::ObjectPtr prev;    // the version before; null for an addition
  const int64_t revision;

  // The version before with this event's resourceVersion: what a watcher is told when the object leaves its selection.
  api::ObjectPtr departed() const;

 private:
  mutable std::atomic<api::ObjectPtr> departed_;
};
using EventPtr = std::shared_ptr<const Event>;

// A copy of the object with another resourceVersion.
api::ObjectPtr withRevision(const api::Object& object, int64_t revision);

}  // namespace km::cache
