#include "kubelet/object_cache.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "api/types/authentication_v1.h"

namespace km::kubelet {
namespace {
constexpr auto kWait = std::chrono::seconds(20);
}

struct ObjectCache::Entry {
  std::set<std::string> users;  // uids
  std::unique_ptr<client::SharedInformer> informer;
  std::unique_ptr<client::Registration> registration;
};

ObjectCache::ObjectCache(client::Client& client, client::WorkerPool& pool, client::Timers& timers, std::function<void(const std::string&)> changed)
    : client_(client), pool_(pool), timers_(timers), changed_(std::move(changed)) {}

ObjectCache::~ObjectCache() { stop(); }

void ObjectCache::stop() {
  std::map<Key, std::shared_ptr<Entry>> entries;
  {
    std::lock_guard lock(mutex_);
    entries.swap(entries_);
    byPod_.clear();
  }
  for (auto& [key, e] : entries) e->informer->stop();
}

void ObjectCache::use(const v1::Pod& pod) {
  References refs = referencesOf(pod);
  std::vector<Key> keys;
  for (auto& name : refs.configMaps) keys.emplace_back(false, pod.metadata.namespace_.str(), std::move(name));
  for (auto& name : refs.secrets) keys.emplace_back(true, pod.metadata.namespace_.str(), std::move(name));
  set(pod.metadata.uid.str(), std::move(keys));
}

void ObjectCache::release(const std::string& uid) { set(uid, {}); }

void ObjectCache::set(const std::string& uid, std::vector<Key> keys) {
  std::sort(keys.begin(), keys.end());
  std::vector<std::shared_ptr<Entry>> dropped;  // ended outside the lock: their handlers may want it
  {
    std::lock_guard lock(mutex_);
    std::vector<Key>& before = byPod_[uid];
    if (before == keys) {
      if (keys.empty()) byPod_.erase(uid);
      return;
    }
    for (const Key& key : keys) {
      std::shared_ptr<Entry>& e = entries_[key];
      if (!e) {
        e = std::make_shared<Entry>();
        const auto& type = std::get<0>(key) ? v1::Secret::kType : v1::ConfigMap::kType;
        client::SharedInformer::What what{client::target(type).resource, std::get<1>(key), "", "metadata.name=" + std::get<2>(key)};
        e->informer = std::make_unique<client::SharedInformer>(client_, pool_, timers_, what);
        auto tell = [this, weak = std::weak_ptr(e)] {
          auto entry = weak.lock();
          if (!entry) return;
          std::set<std::string> users;
          {
            std::lock_guard l(mutex_);
            users = entry->users;
          }
          for (const auto& u : users) changed_(u);
        };
        e->registration = e->informer->addHandler({[tell](const auto&, bool initial) { if (!initial) tell(); },
                                                   [tell](const auto&, const auto&) { tell(); }, [tell](const auto&, bool) { tell(); }});
        e->informer->start();
      }
      e->users.insert(uid);
    }
    for (const Key& key : before) {
      if (std::binary_search(keys.begin(), keys.end(), key)) continue;
      auto it = entries_.find(key);
      if (it == entries_.end()) continue;
      it->second->users.erase(uid);
      if (!it->second->users.empty()) continue;
      dropped.push_back(std::move(it->second));
      entries_.erase(it);
    }
    if (keys.empty()) {
      byPod_.erase(uid);
    } else {
      before = std::move(keys);
    }
  }
  for (auto& e : dropped) e->informer->stop();
}

Result<api::ObjectPtr> ObjectCache::get(const Key& key) {
  const auto& [isSecret, ns, name] = key;
  std::shared_ptr<Entry> e;
  {
    std::lock_guard lock(mutex_);
    if (auto it = entries_.find(key); it != entries_.end()) e = it->second;
  }
  const auto& type = isSecret ? v1::Secret::kType : v1::ConfigMap::kType;
  if (!e) return client_.get(client::target(type, ns, name));
  if (!e->informer->waitForSync(kWait)) {
    return errors::failed(fmt::format("failed to sync {} cache: timed out waiting for the condition", isSecret ? "secret" : "configmap"));
  }
  api::ObjectPtr o = e->informer->store().get(ns + "/" + name);
  if (!o) return errors::notFound({"", isSecret ? "secrets" : "configmaps"}, name);
  return o;
}

Result<std::shared_ptr<const v1::ConfigMap>> ObjectCache::configMap(std::string_view ns, std::string_view name) {
  KM_ASSIGN(auto o, get({false, std::string(ns), std::string(name)}));
  return api::share<v1::ConfigMap>(o);
}

Result<std::shared_ptr<const v1::Secret>> ObjectCache::secret(std::string_view ns, std::string_view name) {
  KM_ASSIGN(auto o, get({true, std::string(ns), std::string(name)}));
  return api::share<v1::Secret>(o);
}

Result<std::string> Tokens::token(const v1::Pod& pod, const v1::ServiceAccountTokenProjection& what, Duration* renewAt) {
  int64_t seconds = what.expirationSeconds.value_or(3600);
  std::string account = pod.spec.serviceAccountName.empty() ? "default" : pod.spec.serviceAccountName.str();
  std::string key = fmt::format("{}/{}/{}/{}", pod.metadata.uid.view(), account, what.audience.view(), seconds);
  Duration now = clock_.monotonic();
  Token known;
  {
    std::lock_guard lock(mutex_);
    if (auto it = tokens_.find(key); it != tokens_.end()) known = it->second;
  }
  if (known.text.empty() || now >= known.renewAt) {
    api::authentication_v1::TokenRequest request;
    if (!what.audience.empty()) request.spec.audiences.push_back(what.audience);
    request.spec.expirationSeconds = seconds;
    auto& bound = request.spec.boundObjectRef.ensure();
    bound.apiVersion = "v1";
    bound.kind = "Pod";
    bound.name = pod.metadata.name;
    bound.uid = pod.metadata.uid;
    client::Target t = client::target(v1::ServiceAccount::kType, pod.metadata.namespace_, account, "token");
    auto made = client_.create(t, api::Object::of(std::move(request)));
    if (made.ok()) {
      const auto& status = (*made)->as<api::authentication_v1::TokenRequest>().status;
      auto life = std::chrono::seconds(std::max<int64_t>(status.expirationTimestamp.seconds - clock_.now().seconds, 0));
      known = {status.token.str(), now + std::min<Duration>(life * 4 / 5, std::chrono::hours(24)), now + life};
      std::lock_guard lock(mutex_);
      tokens_[key] = known;
    } else if (known.text.empty() || now >= known.endsAt) {
      return Status(made.status().code(), made.status().reason(), "failed to fetch token: " + made.status().message());
    } else {
      known.renewAt = now + std::chrono::minutes(1);  // the old one still holds
    }
  }
  *renewAt = std::min(*renewAt, known.renewAt);
  return known.text;
}

void Tokens::forget(std::string_view uid) {
  std::lock_guard lock(mutex_);
  std::string prefix = std::string(uid) + "/";
  std::erase_if(tokens_, [&](const auto& e) { return e.first.starts_with(prefix); });
}

}  // namespace km::kubelet
