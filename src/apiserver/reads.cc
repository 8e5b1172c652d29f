// Operations: get, list, watch.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <mutex>
#include <thread>

#include "api/selector.h"
#include "api/types/meta_v1.h"
#include "apiserver/continue_token.h"
#include "apiserver/operations.h"

namespace km::apiserver {
namespace {

constexpr auto kRevisionWait = std::chrono::seconds(3);

Status tooLarge(int64_t wanted, int64_t current) {
  StatusDetails d;
  d.causes.push_back({"ResourceVersionTooLarge", "Too large resource version", ""});
  d.retryAfterSeconds = 1;
  return {504, "Timeout",
          fmt::format("Timeout: Too large resource version: {}, current: {}", wanted, current), std::move(d)};
}

Result<int64_t> parseRevision(std::string_view text) {
  if (text.empty()) return int64_t{0};
  int64_t v = 0;
  auto r = std::from_chars(text.data(), text.data() + text.size(), v);
  if (r.ec == std::errc() && r.ptr == text.data() + text.size() && v >= 0) return v;
  return Status(
      500, "",
      fmt::format("resourceVersion: Invalid value: {0}: strconv.ParseUint: parsing {0}: invalid syntax",
                  api::goQuote(text)));
}

// Whether objects are selected by the field: kinds whose schema names fields refuse others in words of their own.
Status checkFieldLabel(const api::Resource& r, std::string_view field) {
  bool own = !r.selectableFields.empty();
  bool byNamespace = r.namespaced || !own;
  if (field == "metadata.name" || (field == "metadata.namespace" && byNamespace)) return {};
  if (std::find(r.selectableFields.begin(), r.selectableFields.end(), field) != r.selectableFields.end()) return {};
  if (!own) {
    return errors::badRequest(
        fmt::format("{} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"",
                    api::goQuote(field)));
  }
  if (r.name == "jobs")
    return errors::badRequest(fmt::format("field label {} not supported for Job", api::goQuote(field)));
  if (r.name == "resourceslices") {
    return errors::badRequest(fmt::format("field label not supported for {}/{}, Kind=ResourceSlice: {}",
                                          r.group, r.version, field));
  }
  return errors::badRequest(fmt::format("field label not supported: {}", field));
}

std::string keyOf(const api::Object& o) {
  return o.key();
}

}  // namespace

Result<cache::Selection> Operations::selection(const Call& call) const {
  cache::Selection s;
  s.ns = call.ns;
  auto labels = api::LabelSelector::parse(call.labelSelector);
  if (!labels.ok()) return errors::badRequest(labels.status().message());
  auto fields = api::FieldSelector::parse(call.fieldSelector);
  if (!fields.ok()) return errors::badRequest(fields.status().message());
  for (const auto& t : fields->terms()) KM_TRY(checkFieldLabel(*call.served->resource, t.field));
  if (const std::string* name = fields->exact("metadata.name")) s.name = *name;
  const std::string& indexField = call.served->registry->cache().config().indexField;
  if (!indexField.empty()) {
    if (const std::string* v = fields->exact(indexField)) {
      s.byIndex = true;
      s.indexValue = *v;
    }
  }
  if (labels->empty() && fields->empty()) return s;
  s.text = call.labelSelector + '\n' + call.fieldSelector;
  const registry::Strategy* strategy = &call.served->registry->strategy();
  s.matches = [labels = std::move(*labels), fields = std::move(*fields), strategy](const api::Object& o) {
    if (!labels.empty() && !labels.matches(o.meta().labels)) return false;
    return fields.empty() ||
           fields.matches([&](std::string_view path) { return strategy->selectableField(o, path); });
  };
  return s;
}

void Operations::get(CallPtr call, registry::ObjectCallback done) {
  auto revision = parseRevision(call->resourceVersion);
  if (!revision.ok()) return done(revision.status());
  registry::Registry& r = *call->served->registry;
  if (call->resourceVersion.empty()) {
    return r.get(call->ns, call->name, [call, done = std::move(done)](Result<api::ObjectPtr> o) {
      // Told in the group that was asked: events are served in two.
      if (!o.ok() && o.status().code() == 404)
        return done(errors::notFound(call->groupResource(), call->name));
      done(std::move(o));
    });
  }
  waitFor(r.cache(), *revision, [call, &r, done = std::move(done)](Status s) {
    if (!s.ok()) return done(std::move(s));
    api::ObjectPtr o = r.cache().get(call->ns, call->name);
    if (!o) return done(errors::notFound(call->groupResource(), call->name));
    done(std::move(o));
  });
}

void Operations::waitFor(cache::ResourceCache& cache, int64_t revision, std::function<void(Status)> done) {
  if (cache.revision() >= revision) return done({});
  // Whichever comes first, the revision or the end of the wait, answers.
  struct Wait {
    std::mutex mutex;
    std::function<void(Status)> done;
    std::unique_ptr<async::Timer> timer;
    void finish(Status s) {
      std::function<void(Status)> f;
      {
        std::lock_guard lock(mutex);
        f.swap(done);
      }
      if (f) f(std::move(s));
    }
  };
  auto wait = std::make_shared<Wait>();
  wait->done = std::move(done);
  uint64_t id = cache.whenAt(revision, [wait, this](Status s) {
    wait->finish(std::move(s));
    timers_.post([wait] { wait->timer.reset(); });
  });
  timers_.post([wait, &cache, revision, id, this] {
    {
      std::lock_guard lock(wait->mutex);
      if (!wait->done) return;
    }
    wait->timer = std::make_unique<async::Timer>(timers_);
    wait->timer->start(kRevisionWait, [wait, &cache, revision, id] {
      auto keep = std::move(wait->timer);
      cache.forget(id);
      wait->finish(tooLarge(revision, cache.revision()));
    });
  });
}

Result<ListResult> Operations::page(const Call& call, std::span<const api::ObjectPtr> all,
                                    const cache::Selection& selection, int64_t revision) const {
  ListResult out;
  out.resourceVersion = revision;
  out.items.reserve(selection.matches || call.limit > 0 ? 0 : all.size());
  for (size_t i = 0; i < all.size(); i++) {
    if (call.limit > 0 && static_cast<int64_t>(out.items.size()) == call.limit) {
      // More only if something that matches follows.
      bool more = false;
      for (size_t j = i; j < all.size() && !more; j++) more = selection.selects(*all[j]);
      if (more) {
        out.continueToken = encodeContinue(revision, keyOf(*all[i - 1]) + '\0');
        if (!selection.matches) out.remaining = static_cast<int64_t>(all.size() - i);
      }
      break;
    }
    if (selection.selects(*all[i])) out.items.push_back(all[i]);
  }
  return out;
}

void Operations::list(CallPtr call, std::function<void(Result<ListResult>)> done) {
  auto selected = selection(*call);
  if (!selected.ok()) return done(selected.status());
  auto revision = parseRevision(call->resourceVersion);
  if (!revision.ok()) return done(revision.status());
  if (!call->continueToken.empty()) {
    if (!call->resourceVersion.empty() && call->resourceVersion != "0") {
      return done(errors::badRequest("specifying resource version is not allowed when using continue"));
    }
    auto token = decodeContinue(call->continueToken);
    if (!token.ok()) return done(token.status());
    return listPast(call, std::max<int64_t>(token->revision, 0), token->start, std::move(done));
  }
  bool exact = call->resourceVersionMatch == "Exact" ||
               (call->limit > 0 && *revision > 0 && call->resourceVersionMatch.empty());
  if (exact && *revision > 0) return listPast(call, *revision, "", std::move(done));
  cache::ResourceCache& cache = call->served->registry->cache();
  auto read = [this, call, &cache, selection = std::move(*selected), done = std::move(done),
               caller = std::this_thread::get_id()](Status s) {
    if (!s.ok()) return done(std::move(s));
    auto answer = [this, call, &cache, selection, done] {
      cache::Snapshot snapshot =
          selection.byIndex ? cache.listIndexed(selection.indexValue) : cache.list();
      std::string_view ns = call->served->resource->namespaced && !selection.byIndex ? std::string_view(call->ns) : "";
      auto result = page(*call, cache::ResourceCache::part(*snapshot.objects, ns), selection, snapshot.revision);
      if (result.ok() && !result->continueToken.empty() && !selection.byIndex) cache.keep(snapshot);
      done(std::move(result));
    };
    // The committer's thread is not for lists.
    std::this_thread::get_id() == caller ? answer() : offload_(std::move(answer));
  };
  if (call->resourceVersion.empty()) return cache.whenFresh(std::move(read));
  waitFor(cache, *revision, std::move(read));
}

void Operations::listPast(CallPtr call, int64_t revision, std::string start,
                          std::function<void(Result<ListResult>)> done) {
  auto selected = selection(*call);
  if (!selected.ok()) return done(selected.status());
  cache::ResourceCache& cache = call->served->registry->cache();
  std::string_view ns = call->served->resource->namespaced ? std::string_view(call->ns) : "";
  bool inside = start.empty() || ns.empty() || start.starts_with(fmt::format("{}/", ns));
  if (auto all = inside && revision > 0 ? cache.listAt(revision) : nullptr) {
    return done(page(*call, cache::ResourceCache::part(*all, ns, start), *selected, revision));
  }
  offload_([this, call, revision, start = std::move(start), selection = std::move(*selected),
            done = std::move(done)] {
    cache::ResourceCache& cache = call->served->registry->cache();
    std::string prefix = cache.config().prefix;
    if (!call->ns.empty() && call->served->resource->namespaced) prefix += call->ns + "/";
    store::RangeRequest request = store::RangeRequest::prefix(prefix);
    request.revision = revision;
    if (!start.empty()) {
      std::string from = cache.config().prefix + start;
      if (!from.starts_with(prefix)) return done(errors::badRequest("invalid continue token"));
      request.start = from;
    }
    // Without selectors the store counts and cuts; with them everything behind the start may be needed.
    if (!selection.matches && selection.name.empty() && call->limit > 0) request.limit = call->limit + 1;
    auto range = store_.range(request);
    if (!range.ok()) {
      if (!range.status().is("Expired")) return done(range.status());
      if (start.empty())
        return done(errors::expired("The resourceVersion for the provided list is too old."));
      return done(
          errors::expired("The provided continue parameter is too old to display a consistent list result. "
                          "You can start a new list without the "
                          "continue parameter, or use the continue token in this response to retrieve the "
                          "remainder of the results. Continuing with "
                          "the provided token results in an inconsistent list - objects that were created, "
                          "modified, or deleted between the time the "
                          "first chunk was returned and now may show up in the list."));
    }
    std::vector<api::ObjectPtr> all;
    for (const store::KeyValue& kv : range->kvs) {
      auto o = cache.decode(kv);
      if (!o.ok()) return done(o.status());
      all.push_back(std::move(*o));
    }
    auto result = page(*call, all, selection, range->revision);
    if (result.ok() && result->remaining) {
      result->remaining = range->count - static_cast<int64_t>(result->items.size());
    }
    done(std::move(result));
  });
}

void Operations::watch(CallPtr call, std::function<void()> wake,
                       std::function<void(Result<WatchResult>)> done) {
  auto selected = selection(*call);
  if (!selected.ok()) return done(selected.status());
  auto revision = parseRevision(call->resourceVersion);
  if (!revision.ok()) return done(revision.status());
  cache::ResourceCache& cache = call->served->registry->cache();
  bool initial = call->sendInitialEvents.value_or(*revision == 0);
  auto start = [this, call, selection = std::move(*selected), wake, done,
                caller = std::this_thread::get_id()](Status s) {
    if (!s.ok()) return done(std::move(s));
    auto begin = [this, call, selection, wake, done] { startWatch(call, selection, wake, done); };
    std::this_thread::get_id() == caller ? begin() : offload_(std::move(begin));
  };
  // Initial events are as fresh as a list of the same version would be.
  if (initial && call->resourceVersion.empty()) return cache.whenFresh(std::move(start));
  if (initial) return waitFor(cache, *revision, std::move(start));
  if (*revision == 0 || cache.reaches(*revision)) return start({});
  offload_([&cache, revision = *revision, start = std::move(start)] {
    cache.reachBack(revision, [start] { start({}); });
  });
}

void Operations::startWatch(CallPtr call, cache::Selection selection, std::function<void()> wake,
                            std::function<void(Result<WatchResult>)> done) {
  cache::ResourceCache& cache = call->served->registry->cache();
  int64_t revision = *parseRevision(call->resourceVersion);
  WatchResult result;
  if (call->sendInitialEvents.value_or(revision == 0)) {
    cache::Snapshot snapshot;
    result.watcher = cache.watchWithInitial(std::move(selection), std::move(wake), snapshot);
    result.initial = *snapshot.objects;
    result.initialRevision = snapshot.revision;
    result.markInitialEnd = call->sendInitialEvents.value_or(false) && call->bookmarks;
    return done(std::move(result));
  }
  // "" or "0" without initial events: from now on.
  auto watcher =
      cache.watchFrom(revision == 0 ? cache.revision() : revision, std::move(selection), std::move(wake));
  if (!watcher.ok()) return done(watcher.status());
  result.watcher = std::move(*watcher);
  result.initialRevision = revision;
  done(std::move(result));
}

}  // namespace km::apiserver
