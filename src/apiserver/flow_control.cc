#include "apiserver/flow_control.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <optional>

#include "api/types/flowcontrol_v1.h"
#include "api/types/meta_v1.h"

namespace km::apiserver {
namespace {

using namespace api::flowcontrol_v1;

// A quarter of the time that a request has at all, as upstream.
constexpr auto kQueueWait = std::chrono::seconds(15);
constexpr int kDefaultShares = 30;

bool names(const codec::List<codec::String>& list, std::string_view what) {
  return std::any_of(list.begin(), list.end(), [&](const codec::String& s) { return s == "*" || s == what; });
}

bool isSubject(const Subject& s, const authn::UserInfo& user) {
  if (s.kind == "User" && s.user) return s.user->name == "*" || s.user->name == user.name;
  if (s.kind == "Group" && s.group) return s.group->name == "*" || user.in(s.group->name);
  if (s.kind != "ServiceAccount" || !s.serviceAccount) return false;
  std::string prefix = "system:serviceaccount:" + s.serviceAccount->namespace_.str() + ":";
  std::string_view name = user.name;
  if (!name.starts_with(prefix)) return false;
  return s.serviceAccount->name == "*" || s.serviceAccount->name == name.substr(prefix.size());
}

bool covers(const ResourcePolicyRule& r, const RequestInfo& i) {
  std::string resource = i.subresource.empty() ? i.resource : i.resource + "/" + i.subresource;
  if (!names(r.verbs, i.verb) || !names(r.apiGroups, i.group) || !names(r.resources, resource)) return false;
  return i.ns.empty() ? r.clusterScope : names(r.namespaces, i.ns);
}

bool covers(const NonResourcePolicyRule& r, const RequestInfo& i) {
  if (!names(r.verbs, i.verb)) return false;
  return std::any_of(r.nonResourceURLs.begin(), r.nonResourceURLs.end(), [&](const codec::String& u) {
    std::string_view url = u;
    return url == "*" || url == i.path || (url.ends_with("/*") && std::string_view(i.path).starts_with(url.substr(0, url.size() - 1)));
  });
}

bool matches(const FlowSchema& schema, const authn::UserInfo& user, const RequestInfo& i) {
  for (const PolicyRulesWithSubjects& rule : schema.spec.rules) {
    if (std::none_of(rule.subjects.begin(), rule.subjects.end(), [&](const Subject& s) { return isSubject(s, user); })) continue;
    auto covered = [&](const auto& r) { return covers(r, i); };
    bool hit = i.isResource ? std::any_of(rule.resourceRules.begin(), rule.resourceRules.end(), covered)
                            : std::any_of(rule.nonResourceRules.begin(), rule.nonResourceRules.end(), covered);
    if (hit) return true;
  }
  return false;
}

}  // namespace

// One waiting request. Taken out of its queue by whoever answers it: a free seat or the end of the wait.
struct FlowControl::Queued {
  HttpCallPtr http;
  std::function<void()> run;
  std::unique_ptr<async::Timer> timer;  // on the timers' loop
  bool taken = false;                   // guarded by the level's mutex
};

struct FlowControl::Level {
  std::mutex mutex;
  bool exempt = false, queues = false;
  int seats = 1, used = 0;
  size_t handSize = 1, queueLimit = 0;
  std::vector<std::deque<std::shared_ptr<Queued>>> waiting;
  size_t turn = 0;  // the queue that is looked at first
};

// Held while a request runs; the next one gets it.
class FlowControl::Seat {
 public:
  explicit Seat(std::shared_ptr<Level> level) : level_(std::move(level)) {}
  ~Seat() { next(level_); }

 private:
  std::shared_ptr<Level> level_;
};

struct FlowControl::Rules {
  struct Schema {
    api::ObjectPtr object;
    std::string levelUid;
    std::shared_ptr<Level> level;
    const FlowSchema& schema() const { return object->as<FlowSchema>(); }
  };
  std::vector<Schema> schemas;  // in the order of matching
};

FlowControl::FlowControl(const Resources& resources, async::Loop& timers, int seats) : resources_(resources), timers_(timers), seats_(seats) {}
FlowControl::~FlowControl() = default;

std::shared_ptr<const FlowControl::Rules> FlowControl::compile() {
  auto schemas = resources_.cache("flowcontrol.apiserver.k8s.io", "flowschemas").list().objects;
  auto configured = resources_.cache("flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations").list().objects;
  if (rules_ && schemas == seenSchemas_ && configured == seenLevels_) return rules_;
  double shares = 0;
  auto sharesOf = [](const PriorityLevelConfiguration& p) { return p.spec.limited ? p.spec.limited->nominalConcurrencyShares.value_or(kDefaultShares) : 0; };
  for (const api::ObjectPtr& o : *configured) shares += sharesOf(o->as<PriorityLevelConfiguration>());
  std::map<std::string, std::pair<std::string, std::shared_ptr<Level>>> found;
  for (const api::ObjectPtr& o : *configured) {
    const auto& p = o->as<PriorityLevelConfiguration>();
    std::shared_ptr<Level>& level = levels_[std::string(o->name())];
    if (!level) level = std::make_shared<Level>();
    std::lock_guard lock(level->mutex);
    level->exempt = p.spec.type == "Exempt";
    level->seats = std::max(1, static_cast<int>(std::ceil(seats_ * sharesOf(p) / std::max(shares, 1.0))));
    const QueuingConfiguration* q = p.spec.limited && p.spec.limited->limitResponse.queuing ? &*p.spec.limited->limitResponse.queuing : nullptr;
    level->queues = q != nullptr && q->queues > 0;
    if (level->queues) {
      // Queues that hold requests stay until they are empty.
      if (static_cast<size_t>(q->queues) > level->waiting.size()) level->waiting.resize(static_cast<size_t>(q->queues));
      level->handSize = static_cast<size_t>(std::max(1, q->handSize));
      level->queueLimit = static_cast<size_t>(std::max(0, q->queueLengthLimit));
    }
    found[std::string(o->name())] = {o->meta().uid.str(), level};
  }
  auto rules = std::make_shared<Rules>();
  for (const api::ObjectPtr& o : *schemas) {
    auto it = found.find(o->as<FlowSchema>().spec.priorityLevelConfiguration.name.str());
    if (it != found.end()) rules->schemas.push_back({o, it->second.first, it->second.second});
  }
  std::stable_sort(rules->schemas.begin(), rules->schemas.end(), [](const Rules::Schema& a, const Rules::Schema& b) {
    return a.schema().spec.matchingPrecedence < b.schema().spec.matchingPrecedence;
  });
  seenSchemas_ = schemas;
  seenLevels_ = configured;
  rules_ = rules;
  return rules;
}

std::shared_ptr<const FlowControl::Rules> FlowControl::rules() {
  std::lock_guard lock(mutex_);
  return compile();
}

void FlowControl::refuse(const HttpCallPtr& http) {
  http->onLoop([http] {
    http::Headers h = http->headers("text/plain; charset=utf-8");
    h.add("x-content-type-options", "nosniff");
    h.add("retry-after", "1");
    http->exchange->respond(429, std::move(h), http::Body("Too many requests, please try again later.\n"));
  });
}

void FlowControl::admit(const HttpCallPtr& http, std::function<void()> run) {
  auto now = rules();
  auto it = std::find_if(now->schemas.begin(), now->schemas.end(), [&](const Rules::Schema& s) { return matches(s.schema(), http->user, http->info); });
  // Without objects there is nothing to limit by: the server is starting.
  if (it == now->schemas.end()) return run();
  http->flowSchemaUid = it->object->meta().uid.str();
  http->priorityLevelUid = it->levelUid;
  const std::shared_ptr<Level>& level = it->level;
  bool free;
  {
    std::lock_guard lock(level->mutex);
    if (level->exempt) {
      free = true;
    } else {
      free = level->used < level->seats;
      if (free) level->used++;
    }
  }
  if (free) {
    if (!level->exempt) http->seat = std::make_shared<Seat>(level);
    return run();
  }
  const auto& by = it->schema().spec.distinguisherMethod;
  std::string flow(it->object->name());
  if (by) flow += "/" + (by->type == "ByNamespace" ? http->info.ns : http->user.name);
  enqueue(level, http, std::hash<std::string>()(flow), std::move(run));
}

void FlowControl::enqueue(const std::shared_ptr<Level>& level, const HttpCallPtr& http, size_t flow, std::function<void()> run) {
  auto queued = std::make_shared<Queued>();
  {
    std::lock_guard lock(level->mutex);
    if (!level->queues) return refuse(http);
    // The shortest queue of the flow's hand: flows that share one queue seldom share a whole hand.
    size_t best = level->waiting.size();
    for (size_t card = 0; card < level->handSize; card++) {
      flow = flow * 6364136223846793005u + 1442695040888963407u;
      size_t i = (flow >> 33) % level->waiting.size();
      if (best == level->waiting.size() || level->waiting[i].size() < level->waiting[best].size()) best = i;
    }
    if (level->waiting[best].size() >= level->queueLimit) return refuse(http);
    queued->http = http;
    queued->run = std::move(run);
    level->waiting[best].push_back(queued);
  }
  timers_.post([this, level, queued] {
    queued->timer = std::make_unique<async::Timer>(timers_);
    queued->timer->start(kQueueWait, [level, queued] {
      auto keep = std::move(queued->timer);
      std::unique_lock lock(level->mutex);
      if (std::exchange(queued->taken, true)) return;
      for (auto& q : level->waiting) std::erase(q, queued);
      lock.unlock();
      refuse(queued->http);
    });
  });
  // A seat may have come free in between.
  {
    std::lock_guard lock(level->mutex);
    if (level->used >= level->seats) return;
    level->used++;
  }
  next(level);
}

// A seat is free: the next queue's first request takes it.
void FlowControl::next(const std::shared_ptr<Level>& level) {
  std::shared_ptr<Queued> queued;
  {
    std::lock_guard lock(level->mutex);
    level->used--;
    for (size_t i = 0; i < level->waiting.size() && !queued && level->used < level->seats; i++) {
      auto& q = level->waiting[level->turn++ % level->waiting.size()];
      if (q.empty()) continue;
      queued = q.front();
      q.pop_front();
      queued->taken = true;
      level->used++;
    }
  }
  if (!queued) return;
  // Nothing of the request stays with the timer that is left.
  HttpCallPtr http = std::move(queued->http);
  http->seat = std::make_shared<Seat>(level);
  http->onLoop([http, run = std::move(queued->run)] { run(); });
}

}  // namespace km::apiserver
