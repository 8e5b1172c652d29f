#include <algorithm>
#include <unordered_map>

#include "store/mvcc.h"
#include "store/row_format.h"

namespace km::store {

Result<History> MvccStore::history(std::string_view prefix, Revision after, Revision through, size_t maxEvents,
                                   size_t maxBytes) {
  std::vector<KeyIndex::Write> writes;
  std::unordered_map<Revision, EventPtr> known;  // what was read, and what the window has
  History history;
  {
    std::shared_lock lock(indexMutex_);
    history.after = std::max(after, compacted_.load());
    if (through > revision_) return futureRevisionError();
    if (through < history.after) return compactedError();
    index_.writes(prefix, prefixEnd(prefix), history.after, through, writes);
    std::sort(writes.begin(), writes.end(), [](const auto& a, const auto& b) { return a.revision > b.revision; });
    if (writes.size() > maxEvents) {
      history.after = writes[maxEvents].revision;
      writes.resize(maxEvents);
    }
    for (const KeyIndex::Write& w : writes) {
      for (Revision r : {w.revision, w.replaced}) {
        if (const EventPtr* recent = window_.find(r)) known.emplace(r, *recent);
      }
    }
  }
  auto read = [&](Revision revision) -> Result<EventPtr> {
    if (auto it = known.find(revision); it != known.end()) return it->second;
    KM_ASSIGN(std::optional<std::string> bytes, rows_->read(revisionKey(revision)));
    // Compacted since the look at the index. There is no other way for a row to go.
    if (!bytes && compacted_ > history.after) return compactedError();
    RowView row;
    if (!bytes || !decodeRow(*bytes, row)) {
      return rows_->damaged("revision " + std::to_string(revision) + (bytes ? " cannot be decoded" : " is missing"));
    }
    auto event = std::make_shared<Event>();
    event->type = row.tombstone ? EventType::kDelete : EventType::kPut;
    event->kv = toKeyValue(revision, row);
    known.emplace(revision, event);
    return EventPtr(std::move(event));
  };
  // The newest first, so that what is too much is at the end.
  size_t bytes = 0;
  for (const KeyIndex::Write& w : writes) {
    KM_ASSIGN(EventPtr at, read(w.revision));
    auto event = std::make_shared<Event>(*at);
    if (w.replaced != 0 && !event->prev) {
      KM_ASSIGN(EventPtr before, read(w.replaced));
      event->prev = before->kv;
    }
    bytes += event->kv.key.size() + (event->kv.value ? event->kv.value->size() : 0);
    if (bytes > maxBytes) {
      history.after = w.revision;
      break;
    }
    history.events.push_back(std::move(event));
  }
  std::reverse(history.events.begin(), history.events.end());
  return history;
}

}  // namespace km::store
