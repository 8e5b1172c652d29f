#include "scheduler/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <unordered_map>

#include "base/rand.h"

namespace km::scheduler {
namespace {

constexpr size_t kBlock = 512;
// Below this many nodes all are looked at; more feasible ones than a share of the nodes are not sought.
constexpr size_t kMinFeasible = 100;
constexpr int kMinPercentage = 5;

int32_t priorityOf(const api::core_v1::Pod& p) {
  return p.spec.priority.value_or(0);
}

}  // namespace

Search::Search(Cluster& cluster, const Nominator& nominator, Profile& profile)
    : cluster_(cluster), nominator_(nominator), profile_(profile), randomState_(randomUint64() | 1) {}

size_t Search::random(size_t n) {
  randomState_ ^= randomState_ << 13;
  randomState_ ^= randomState_ >> 7;
  randomState_ ^= randomState_ << 17;
  return n == 0 ? 0 : randomState_ % n;
}

size_t Search::limitOf(size_t nodes) const {
  if (nodes < kMinFeasible) return nodes;
  int percentage = profile_.percentageOfNodesToScore;
  if (percentage == 0) percentage = std::max(kMinPercentage, 50 - static_cast<int>(nodes / 125));
  return std::max(kMinFeasible, nodes * static_cast<size_t>(percentage) / 100);
}

Found Search::run(const Cycle& c) {
  Found out;
  feasible_.clear();
  std::optional<std::vector<NodeId>> only;
  if (!prepare(c, out, only)) return out;
  findNominated(c);
  // Room was made for the pod on a node: that one first.
  if (!c.pod->status.nominatedNodeName.empty()) {
    NodeId id = cluster_.nodes().find(c.pod->status.nominatedNodeName);
    uint32_t why;
    if (id != kNoNode && cluster_.nodes().exists(id) && fits(c, id, &why)) feasible_.push_back(id);
  }
  const auto& order = cluster_.nodes().order();
  if (feasible_.empty()) {
    const std::vector<NodeId>& list = only ? *only : order;
    bool scoring = std::any_of(profile_.plugins.begin(), profile_.plugins.end(),
                               [](const Enabled& e) { return e.runsAt(Plugin::kScore); });
    filterAll(c, list, scoring ? limitOf(list.size()) : 1, out);
    nextStart_ = (nextStart_ + out.diagnosis.refused.size() + feasible_.size()) % order.size();
  }
  out.evaluated = out.diagnosis.refused.size() + feasible_.size();
  out.feasible = feasible_.size();
  if (!feasible_.empty()) {
    select(c, out);
    return out;
  }
  for (const Refused& r : out.diagnosis.refused) {
    out.diagnosis.rejectors |= uint64_t{1} << (r.why >> kRefusalBits);
    if (verdictOf(r.why) != Verdict::kError) continue;
    std::vector<std::string> reasons;
    profile_.plugins[r.why >> kRefusalBits].plugin->explain(c, r.why & ((1u << kRefusalBits) - 1), reasons);
    out.error = fmt::format("{}", fmt::join(reasons, ", "));
  }
  return out;
}

bool Search::prepare(const Cycle& c, Found& out, std::optional<std::vector<NodeId>>& only) {
  filters_.clear();
  std::vector<std::string_view> narrowed;
  for (uint32_t i = 0; i < profile_.plugins.size(); i++) {
    Plugin& p = *profile_.plugins[i].plugin;
    if (!profile_.plugins[i].runsAt(Plugin::kFilter)) continue;
    Prepared r = p.prepare(c);
    if (r.verdict == Verdict::kError) {
      out.error = std::move(r.reason);
      return false;
    }
    if (r.verdict != Verdict::kSuccess) {
      out.diagnosis.preFilter = std::move(r.reason);
      out.diagnosis.preFilterVerdict = r.verdict;
      out.diagnosis.rejectors = uint64_t{1} << i;
      return false;
    }
    if (r.only) {
      narrowed.push_back(p.name());
      out.diagnosis.rejectors |= uint64_t{1} << i;
      if (only) {
        std::erase_if(
            *only, [&](NodeId n) { return std::find(r.only->begin(), r.only->end(), n) == r.only->end(); });
      } else {
        only = std::move(r.only);
      }
      if (only->empty()) {
        bool several = narrowed.size() > 1;
        out.diagnosis.preFilter = several
                                      ? fmt::format("node(s) didn't satisfy plugin(s) [{}] simultaneously",
                                                    fmt::join(narrowed, " "))
                                      : fmt::format("node(s) didn't satisfy plugin {}", p.name());
        out.diagnosis.preFilterVerdict = Verdict::kUnschedulableAndUnresolvable;
        return false;
      }
    }
    if (!r.skip) filters_.push_back(i);
  }
  if (only) {
    std::sort(narrowed.begin(), narrowed.end());
    out.diagnosis.only = fmt::format("{}", fmt::join(narrowed, " "));
  }
  return true;
}

void Search::findNominated(const Cycle& c) {
  withNominated_.clear();
  if (nominator_.empty()) return;
  nominator_.eachNode([&](const std::string& node, const std::vector<PodPtr>& pods) {
    bool counts = std::any_of(pods.begin(), pods.end(), [&](const PodPtr& p) {
      return p->metadata.uid != c.pod->metadata.uid && priorityOf(*p) >= priorityOf(*c.pod);
    });
    NodeId id = counts ? cluster_.nodes().find(node) : kNoNode;
    if (id != kNoNode) withNominated_.push_back(id);
  });
}

void Search::filterAll(const Cycle& c, const std::vector<NodeId>& list, size_t limit, Found& out) {
  size_t n = list.size();
  std::vector<NodeId> block;
  block.reserve(std::min(n, kBlock));
  size_t start = n == 0 ? 0 : nextStart_ % n;
  for (size_t at = 0; at < n && feasible_.size() < limit;) {
    block.clear();
    // Not many more than are still wanted.
    size_t size = std::min({n - at, kBlock, std::max<size_t>(limit - feasible_.size(), 16)});
    for (size_t i = 0; i < size; i++) {
      size_t k = start + at + i;
      block.push_back(list[k < n ? k : k - n]);
    }
    size_t taken = 0;
    filterBlock(c, block, limit, out, &taken);
    at += taken;
  }
}

void Search::filterBlock(const Cycle& c, const std::vector<NodeId>& block, size_t limit, Found& out,
                         size_t* taken) {
  auto& refused = out.diagnosis.refused;
  size_t refusedBefore = refused.size();
  std::vector<std::pair<uint32_t, uint32_t>>
      alone;  // position, refusal: nodes that are looked at by themselves
  left_.clear();
  position_.clear();
  std::vector<uint32_t> refusedAt;
  for (uint32_t i = 0; i < block.size(); i++) {
    if (!withNominated_.empty() &&
        std::find(withNominated_.begin(), withNominated_.end(), block[i]) != withNominated_.end()) {
      uint32_t why = 0;
      bool ok = fits(c, block[i], &why);
      alone.emplace_back(i, ok ? 0 : why);
      if (ok) continue;
      refused.push_back({block[i], why});
      refusedAt.push_back(i);
      continue;
    }
    left_.push_back(block[i]);
    position_.push_back(i);
  }
  for (uint32_t f : filters_) {
    if (left_.empty()) break;
    refusals_.assign(left_.size(), 0);
    profile_.plugins[f].plugin->filter(c, left_, refusals_.data());
    size_t kept = 0;
    for (size_t i = 0; i < left_.size(); i++) {
      if (refusals_[i] != 0) {
        refused.push_back({left_[i], f << kRefusalBits | refusals_[i]});
        refusedAt.push_back(position_[i]);
        continue;
      }
      left_[kept] = left_[i];
      position_[kept++] = position_[i];
    }
    left_.resize(kept);
    position_.resize(kept);
  }
  for (const auto& [position, why] : alone) {
    if (why != 0) continue;
    auto at = std::lower_bound(position_.begin(), position_.end(), position) - position_.begin();
    position_.insert(position_.begin() + at, position);
    left_.insert(left_.begin() + at, block[position]);
  }
  *taken = block.size();
  size_t room = limit - feasible_.size();
  if (left_.size() > room) {
    // The search ended at the last one that was wanted.
    *taken = position_[room - 1] + 1;
    left_.resize(room);
    size_t kept = refusedBefore;
    for (size_t i = 0; i < refusedAt.size(); i++) {
      if (refusedAt[i] < *taken) refused[kept++] = refused[refusedBefore + i];
    }
    refused.resize(kept);
  }
  feasible_.insert(feasible_.end(), left_.begin(), left_.end());
}

bool Search::passes(const Cycle& c, NodeId node, uint32_t* why) {
  for (uint32_t f : filters_) {
    Refusal r = 0;
    profile_.plugins[f].plugin->filter(c, Nodes(&node, 1), &r);
    if (r != 0) {
      *why = f << kRefusalBits | r;
      return false;
    }
  }
  return true;
}

bool Search::fits(const Cycle& c, NodeId node, uint32_t* why) {
  // With the pods that are expected there, and without: some rules want others to be there.
  std::vector<std::unique_ptr<PodEntry>> expected;
  if (!nominator_.empty()) {
    for (const PodPtr& p : nominator_.on(cluster_.nodes().row(node).name)) {
      if (p->metadata.uid == c.pod->metadata.uid || priorityOf(*p) < priorityOf(*c.pod)) continue;
      expected.push_back(cluster_.place(p, node));
    }
  }
  if (!expected.empty()) {
    bool ok = passes(c, node, why);
    for (auto& e : expected) cluster_.lift(*e);
    if (!ok) return false;
  }
  return passes(c, node, why);
}

void Search::select(const Cycle& c, Found& out) {
  if (feasible_.size() == 1) {
    out.node = feasible_[0];
    return;
  }
  size_t n = feasible_.size();
  total_.assign(n, 0);
  for (const Enabled& e : profile_.plugins) {
    if (!e.runsAt(Plugin::kScore) || e.weight == 0 || !e.plugin->prepareScore(c, feasible_)) continue;
    scores_.assign(n, 0);
    e.plugin->score(c, feasible_, scores_.data());
    for (size_t i = 0; i < n; i++) total_[i] += scores_[i] * e.weight;
  }
  // Of the best, any with the same chance.
  size_t best = 0, same = 1;
  for (size_t i = 1; i < n; i++) {
    if (total_[i] > total_[best]) {
      best = i;
      same = 1;
    } else if (total_[i] == total_[best] && random(++same) == 0) {
      best = i;
    }
  }
  out.node = feasible_[best];
}

Verdict Search::verdictOf(uint32_t why) const {
  return profile_.plugins[why >> kRefusalBits].plugin->verdict(why & ((1u << kRefusalBits) - 1));
}

std::vector<NodeId> Search::resolvable(const Diagnosis& d) const {
  std::vector<NodeId> out;
  if (d.preFilterVerdict == Verdict::kUnschedulable) return cluster_.nodes().order();
  for (const Refused& r : d.refused) {
    if (verdictOf(r.why) == Verdict::kUnschedulable) out.push_back(r.node);
  }
  return out;
}

std::string Search::reasons(const Cycle& c, const std::vector<Refused>& refused, const Extra& extra) const {
  std::unordered_map<uint32_t, size_t> byCode;
  for (const Refused& r : refused) byCode[r.why]++;
  std::map<std::string, size_t> counts;
  std::vector<std::string> texts;
  for (const auto& [why, n] : byCode) {
    texts.clear();
    profile_.plugins[why >> kRefusalBits].plugin->explain(c, why & ((1u << kRefusalBits) - 1), texts);
    for (const auto& t : texts) counts[t] += n;
  }
  for (const auto& [reason, n] : extra) {
    if (n > 0) counts[reason] += n;
  }
  texts.clear();
  for (const auto& [reason, n] : counts) texts.push_back(fmt::format("{} {}", n, reason));
  std::sort(texts.begin(), texts.end());
  return fmt::format("{}", fmt::join(texts, ", "));
}

}  // namespace km::scheduler
