#include "proxy/table.h"

namespace km::proxy {
namespace {

// Long element lists are cut, so that one line stays readable in logs and small for the parser.
constexpr size_t kElementsPerCommand = 500;

class Commands {
 public:
  explicit Commands(const std::string& table) : table_(table) {}

  void line(std::string_view verb, std::string_view rest) { out_.append(verb).append(" ").append(rest).append("\n"); }
  void add(std::string_view kind, const std::string& name, std::string_view body) {
    line("add " + std::string(kind), table_ + " " + name + std::string(body));
  }
  void remove(std::string_view kind, const std::string& name) { line("delete " + std::string(kind), table_ + " " + name); }
  void rules(const std::string& chain, const Chain& content) {
    for (const std::string& rule : content.rules) line("add rule", table_ + " " + chain + " " + rule);
  }
  void elements(std::string_view verb, const std::string& set, const std::vector<std::string>& items) {
    for (size_t i = 0; i < items.size(); i += kElementsPerCommand) {
      out_.append(verb).append(" element ").append(table_).append(" ").append(set).append(" { ");
      for (size_t j = i; j < items.size() && j < i + kElementsPerCommand; ++j) {
        if (j > i) out_.append(", ");
        out_.append(items[j]);
      }
      out_.append(" }\n");
    }
  }
  std::string take() { return std::move(out_); }

 private:
  const std::string& table_;
  std::string out_;
};

std::string element(const std::pair<const std::string, std::string>& e) {
  return e.second.empty() ? e.first : e.first + " : " + e.second;
}

const Set* findSet(const Table& table, const std::string& name) {
  auto it = table.sets.find(name);
  return it == table.sets.end() ? nullptr : &it->second;
}

// Whether the set of `after` has to be made anew.
bool replaced(const Set* old, const Set& now) {
  return old == nullptr || old->declaration != now.declaration || old->isMap != now.isMap;
}

void removeElements(Commands& out, const Table& before, const Table& after) {
  for (const auto& [name, old] : before.sets) {
    const Set* now = findSet(after, name);
    if (now == nullptr || replaced(&old, *now)) {
      std::vector<std::string> all;
      for (const auto& e : old.elements) all.push_back(element(e));
      out.elements("delete", name, all);  // verdicts hold their chains
      continue;
    }
    std::vector<std::string> gone;
    for (const auto& e : old.elements) {
      auto it = now->elements.find(e.first);
      if (it == now->elements.end() || it->second != e.second) gone.push_back(element(e));
    }
    out.elements("delete", name, gone);
  }
}

void addElements(Commands& out, const Table& before, const Table& after) {
  for (const auto& [name, now] : after.sets) {
    const Set* old = findSet(before, name);
    bool fresh = replaced(old, now);
    std::vector<std::string> added;
    for (const auto& e : now.elements) {
      if (!fresh) {
        auto it = old->elements.find(e.first);
        if (it != old->elements.end() && it->second == e.second) continue;
      }
      added.push_back(element(e));
    }
    out.elements("add", name, added);
  }
}

}  // namespace

std::string difference(const std::string& name, const Table* known, const Table& after) {
  static const Table kEmpty;
  const Table& before = known != nullptr ? *known : kEmpty;
  if (known != nullptr && before == after) return {};
  Commands out(name);
  out.line("add table", name);
  if (known == nullptr) {
    out.line("delete table", name);
    out.line("add table", name);
  }
  auto differs = [](const Chain* a, const Chain& b) { return a == nullptr || !(*a == b); };
  auto findChain = [](const Table& t, const std::string& chain) {
    auto it = t.chains.find(chain);
    return it == t.chains.end() ? nullptr : &it->second;
  };
  // 1. What refers to chains and sets that go, or changes, is taken out.
  removeElements(out, before, after);
  for (const auto& [chain, old] : before.chains) {
    const Chain* now = findChain(after, chain);
    if (now == nullptr || differs(&old, *now)) out.line("flush chain", name + " " + chain);
  }
  for (const auto& [chain, old] : before.chains) {
    const Chain* now = findChain(after, chain);
    if (now == nullptr || now->hook != old.hook) out.remove("chain", chain);
  }
  for (const auto& [set, old] : before.sets) {
    const Set* now = findSet(after, set);
    if (now == nullptr || replaced(&old, *now)) out.remove(old.isMap ? "map" : "set", set);
  }
  // 2. New ones come in the order in which they refer to each other: chains, sets, rules, elements.
  for (const auto& [chain, now] : after.chains) {
    const Chain* old = findChain(before, chain);
    if (old == nullptr || old->hook != now.hook) out.add("chain", chain, now.hook.empty() ? "" : " { " + now.hook + " }");
  }
  for (const auto& [set, now] : after.sets) {
    if (replaced(findSet(before, set), now)) out.add(now.isMap ? "map" : "set", set, " { " + now.declaration + " }");
  }
  for (const auto& [chain, now] : after.chains) {
    if (differs(findChain(before, chain), now)) out.rules(chain, now);
  }
  addElements(out, before, after);
  return out.take();
}

}  // namespace km::proxy
