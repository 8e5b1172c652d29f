#include "codec/quantity_spelling.h"

#include <array>
#include <atomic>
#include <mutex>
#include <unordered_map>

namespace km::codec {
namespace {

// Nobody writes many different odd texts; whoever tries finds them canonical from here on.
constexpr uint32_t kMost = 1 << 16;

struct Table {
  std::mutex mutex;
  std::unordered_map<std::string, uint32_t> ids;
  std::array<std::atomic<const Spelling*>, kMost> entries{};
  uint32_t used = 1;
};

Table& table() {
  static Table* t = new Table;  // read until the very end
  return *t;
}

}  // namespace

uint32_t keepSpelling(std::string_view text, __int128 nanos, bool exact) {
  Table& t = table();
  // One text may be held in two ways ("10E" as a scaled int64 or as a decimal sum).
  std::string key(text);
  key += exact ? '!' : '.';
  std::lock_guard lock(t.mutex);
  if (auto it = t.ids.find(key); it != t.ids.end()) return it->second;
  if (t.used == kMost) return 0;
  uint32_t id = t.used++;
  t.entries[id].store(new Spelling{std::string(text), nanos, exact}, std::memory_order_release);
  t.ids.emplace(std::move(key), id);
  return id;
}

const Spelling& spellingOf(uint32_t id) { return *table().entries[id].load(std::memory_order_acquire); }

}  // namespace km::codec
