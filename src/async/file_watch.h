// FileWatch: tells when files change. TLS settings that keep up with their files.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "async/loop.h"
#include "async/tls.h"

namespace km::async {

// By inotify on the directories of the files, so that files that are replaced and the links of mounted Secrets are seen
// too; once a minute it looks by itself, for what inotify cannot see. From any thread; the loop must outlive it.
class FileWatch {
 public:
  // `changed` is called on the loop, once for changes that come together. Empty paths are left out.
  FileWatch(Loop& loop, std::vector<std::string> paths, std::function<void()> changed);
  // Destroyed elsewhere than on the loop, it waits for a call in progress.
  ~FileWatch();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

// Lets new connections of the context use the files as they are, from now on until the watch is destroyed. Files that
// make no settings (half of a pair is written yet) leave the context as it was. Null if no files are named. `renewed` is
// called on the loop.
std::unique_ptr<FileWatch> renewFromFiles(Loop& loop, std::shared_ptr<TlsContext> context, const TlsServerOptions& options,
                                          std::function<void()> renewed = nullptr);
std::unique_ptr<FileWatch> renewFromFiles(Loop& loop, std::shared_ptr<TlsContext> context, const TlsClientOptions& options,
                                          std::function<void()> renewed = nullptr);

}  // namespace km::async
