#include "kubelet/disk_usage.h"

#include <fts.h>
#include <sys/stat.h>

#include <set>
#include <utility>

namespace km::kubelet {

int64_t diskUsage(const std::string& path) {
  std::string root = path;
  char* roots[] = {root.data(), nullptr};
  FTS* walk = ::fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, nullptr);
  if (walk == nullptr) return 0;
  int64_t blocks = 0;
  std::set<std::pair<dev_t, ino_t>> linked;
  while (FTSENT* e = ::fts_read(walk)) {
    if (e->fts_info == FTS_DP || e->fts_info == FTS_NS || e->fts_info == FTS_ERR || e->fts_info == FTS_DNR)
      continue;
    const struct stat& st = *e->fts_statp;
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 && !linked.emplace(st.st_dev, st.st_ino).second) continue;
    blocks += st.st_blocks;
  }
  ::fts_close(walk);
  return blocks * 512;
}

}  // namespace km::kubelet
