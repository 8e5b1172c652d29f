// `km backup` and `km restore`: the embedded store of a stopped cluster, to a file and back.
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "base/clock.h"
#include "base/flags.h"
#include "codec/scalars.h"
#include "km/commands.h"
#include "km/data_lock.h"
#include "store/embedded.h"

namespace km {
namespace {

struct StoreCall {
  std::string dataDir = "/var/lib/km";
  std::string file;
};

// The exit code if the call ends here.
std::optional<int> parse(ServerCall& call, StoreCall& out) {
  FlagSet flags(std::string(call.server->name));
  flags.add(&out.dataDir, "data-dir", "The `directory` of the cluster.");
  if (auto done = parseServerFlags(call, flags)) return done;
  if (flags.args().size() != 1) return finish(call, errors::badRequest(fmt::format("{} takes one argument: the file", call.server->name)));
  out.file = flags.args()[0];
  return std::nullopt;
}

Status backup(const StoreCall& c) {
  if (::access((c.dataDir + "/store").c_str(), F_OK) != 0) return errors::failed(fmt::format("there is no store in {}", c.dataDir));
  KM_ASSIGN(UniqueFd lock, lockData(c.dataDir));
  store::EmbeddedOptions o;
  o.directory = c.dataDir + "/store";
  KM_ASSIGN(auto store, store::openEmbedded(o));
  return store->backup(c.file);
}

// What was there is moved aside, never deleted.
Status restore(const StoreCall& c, std::string& aside) {
  KM_ASSIGN(UniqueFd lock, lockData(c.dataDir));
  std::string directory = c.dataDir + "/store", made = directory + ".restored";
  std::error_code e;
  std::filesystem::remove_all(made, e);
  KM_TRY(store::restoreEmbedded(c.file, made));
  if (std::filesystem::exists(directory, e)) {
    aside = directory + "." + codec::Time(Clock::system().now()).str();
    std::filesystem::rename(directory, aside, e);
    if (e) return errors::failed(fmt::format("{} cannot be moved aside: {}", directory, e.message()));
  }
  std::filesystem::rename(made, directory, e);
  if (e) return errors::failed(fmt::format("{} cannot be put in place: {}", made, e.message()));
  return {};
}

}  // namespace

int runBackup(ServerCall& call) {
  StoreCall c;
  if (auto done = parse(call, c)) return *done;
  return finish(call, backup(c));
}

int runRestore(ServerCall& call) {
  StoreCall c;
  if (auto done = parse(call, c)) return *done;
  std::string aside;
  Status s = restore(c, aside);
  if (s.ok() && !aside.empty()) call.answer(fmt::format("The store that was there is now {}.\n", aside));
  return finish(call, s);
}

}  // namespace km
