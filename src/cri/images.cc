#include "cri/images.h"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <openssl/sha.h>
#include <unistd.h>

#include <future>
#include <thread>

#include "api/types/containerd_content_v1.h"
#include "api/types/containerd_images_v1.h"
#include "api/types/containerd_leases_v1.h"
#include "api/types/cri_runtime_v1.h"
#include "async/loop.h"
#include "codec/json.h"
#include "codec/proto.h"
#include "codec/value.h"
#include "http/grpc.h"

namespace km::cri {
namespace {

namespace content = api::containerd_content_v1;
namespace images = api::containerd_images_v1;
namespace leases = api::containerd_leases_v1;
using codec::Value;

constexpr size_t kChunk = 1 << 20;  // below gRPC's 4 MiB
constexpr char kLayerType[] = "application/vnd.oci.image.layer.v1.tar";
constexpr char kConfigType[] = "application/vnd.oci.image.config.v1+json";
constexpr char kManifestType[] = "application/vnd.oci.image.manifest.v1+json";

std::string digestOf(std::string_view bytes) {
  unsigned char d[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), d);
  std::string out = "sha256:";
  for (unsigned char c : d) out += fmt::format("{:02x}", c);
  return out;
}

// The files as a tar, the same bytes for the same files.
Result<std::string> tarOf(const std::vector<SimpleImage::File>& files) {
  std::string out;
  archive* a = archive_write_new();
  archive_write_set_format_ustar(a);
  archive_write_set_bytes_in_last_block(a, 1);
  auto append = [](archive*, void* to, const void* bytes, size_t n) -> la_ssize_t {
    static_cast<std::string*>(to)->append(static_cast<const char*>(bytes), n);
    return static_cast<la_ssize_t>(n);
  };
  archive_write_open(a, &out, nullptr, append, nullptr);
  bool ok = true;
  for (const auto& f : files) {
    archive_entry* e = archive_entry_new();
    archive_entry_set_pathname(e, f.path.c_str());
    archive_entry_set_perm(e, static_cast<mode_t>(f.mode));
    bool directory = !f.path.empty() && f.path.back() == '/';
    if (!f.linkTo.empty()) {
      archive_entry_set_filetype(e, AE_IFLNK);
      archive_entry_set_symlink(e, f.linkTo.c_str());
    } else {
      archive_entry_set_filetype(e, directory ? AE_IFDIR : AE_IFREG);
      archive_entry_set_size(e, static_cast<la_int64_t>(f.content.size()));
    }
    ok = ok && archive_write_header(a, e) == ARCHIVE_OK;
    if (ok && f.linkTo.empty() && !f.content.empty()) {
      ok = archive_write_data(a, f.content.data(), f.content.size()) == static_cast<la_ssize_t>(f.content.size());
    }
    archive_entry_free(e);
  }
  archive_write_close(a);
  archive_write_free(a);
  if (!ok) return errors::failed("the layer could not be written");
  return out;
}

std::string jsonList(const std::vector<std::string>& values) {
  std::string out = "[";
  for (size_t i = 0; i < values.size(); i++) {
    if (i != 0) out += ',';
    codec::appendJsonString(out, values[i]);
  }
  return out + "]";
}

std::string descriptor(std::string_view type, std::string_view digest, size_t size) {
  return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":{}}})", type, digest, size);
}

// All files of an archive by name. Images are small enough to be held; large ones belong into a registry.
Result<std::map<std::string, std::string>> readTar(const std::string& path) {
  std::map<std::string, std::string> out;
  archive* a = archive_read_new();
  archive_read_support_filter_all(a);
  archive_read_support_format_tar(a);
  Status s;
  if (archive_read_open_filename(a, path.c_str(), 1 << 16) != ARCHIVE_OK) {
    s = errors::failed(fmt::format("{}: {}", path, archive_error_string(a)));
  }
  archive_entry* e = nullptr;
  int r = ARCHIVE_OK;
  while (s.ok() && (r = archive_read_next_header(a, &e)) == ARCHIVE_OK) {
    if (archive_entry_filetype(e) != AE_IFREG) continue;
    std::string name = archive_entry_pathname(e);
    if (name.starts_with("./")) name.erase(0, 2);
    std::string& data = out[name];
    char buffer[1 << 16];
    la_ssize_t n;
    while ((n = archive_read_data(a, buffer, sizeof buffer)) > 0) data.append(buffer, static_cast<size_t>(n));
    if (n < 0) s = errors::failed(fmt::format("{}: {}", path, archive_error_string(a)));
  }
  if (s.ok() && r != ARCHIVE_EOF) s = errors::failed(fmt::format("{}: {}", path, archive_error_string(a)));
  archive_read_free(a);
  if (!s.ok()) return s;
  return out;
}

}  // namespace

struct ImageStore::Impl {
  Impl(async::Loop& loop, std::string socket) : client(loop), channel(client, endpoint(std::move(socket))) {}

  static http::Endpoint endpoint(std::string socket) {
    if (socket.starts_with("unix://")) socket.erase(0, 7);
    http::Endpoint e;
    e.unixPath = std::move(socket);
    e.speak = http::Endpoint::Speak::kHttp2;
    return e;
  }
  http::GrpcOptions options() const {
    http::GrpcOptions o;
    o.metadata.add("containerd-namespace", "k8s.io");
    if (!lease.empty()) o.metadata.add("containerd-lease", lease);
    return o;
  }

  // containerd collects what nothing refers to, as it also does while it starts: blobs are held by a lease until a name holds them.
  Status hold() {
    leases::CreateRequest r;
    r.id = fmt::format("km-import-{}-{}", ::getpid(), ++leaseCount);
    std::time_t end = std::time(nullptr) + 3600;
    r.labels["containerd.io/gc.expire"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(end));
    auto made = channel.unaryAndWait(leases::LeasesMethods::Create, codec::toProto(r), options());
    if (!made.status.ok()) return made.status.toStatus();
    lease = r.id.str();
    return {};
  }
  void release() {
    leases::DeleteRequest r;
    r.id = std::exchange(lease, "");
    (void)channel.unaryAndWait(leases::LeasesMethods::Delete, codec::toProto(r), options());
  }

  // Stores a blob unless it is there.
  Status write(const std::string& bytes, const std::string& digest, const std::map<std::string, std::string>& labels) {
    auto ended = std::make_shared<std::promise<http::GrpcStatus>>();
    auto result = ended->get_future();
    http::GrpcStreamHandler handler;
    handler.onMessage = [](const std::string&) {};
    handler.onEnd = [ended](const http::GrpcStatus& s) { ended->set_value(s); };
    auto stream = channel.open(content::ContentMethods::Write, options(), std::move(handler));
    size_t at = 0;
    do {
      content::WriteContentRequest r;
      size_t n = std::min(kChunk, bytes.size() - at);
      bool last = at + n == bytes.size();
      r.action = last ? content::WriteAction::kCOMMIT : content::WriteAction::kWRITE;
      r.ref = "km-import-" + digest;
      r.total = static_cast<int64_t>(bytes.size());
      r.expected = digest;
      r.offset = static_cast<int64_t>(at);
      r.data = std::string_view(bytes).substr(at, n);
      if (last) {
        for (const auto& [k, v] : labels) r.labels[k] = v;
      }
      stream->send(codec::toProto(r));
      at += n;
    } while (at < bytes.size());
    stream->closeSend();
    http::GrpcStatus s = result.get();
    if (s.ok() || s.code == http::GrpcCode::kAlreadyExists) return {};
    return s.toStatus();
  }

  Status name(const std::string& image, const std::string& type, const std::string& digest, size_t size) {
    images::Image i;
    i.name = image;
    i.labels["io.cri-containerd.image"] = "managed";
    auto& d = i.target.emplace();
    d.mediaType = type;
    d.digest = digest;
    d.size = static_cast<int64_t>(size);
    images::CreateImageRequest create;
    create.image = i;
    auto r = channel.unaryAndWait(images::ImagesMethods::Create, codec::toProto(create), options());
    if (r.status.code == http::GrpcCode::kAlreadyExists) {
      images::UpdateImageRequest update;
      update.image = i;
      r = channel.unaryAndWait(images::ImagesMethods::Update, codec::toProto(update), options());
    }
    if (!r.status.ok()) return r.status.toStatus();
    return waitUntilKnown(i);
  }

  // The CRI service keeps its own list of images and follows containerd's events. A pod that named an image before it is known would wait
  // for a pull that cannot succeed.
  Status waitUntilKnown(const images::Image& image) {
    constexpr Duration kLimit = std::chrono::seconds(20), kTellAgain = std::chrono::milliseconds(100);
    auto begin = std::chrono::steady_clock::now(), told = begin;
    api::cri_runtime_v1::ImageStatusRequest ask;
    ask.image.emplace().image = image.name;
    std::string request = codec::toProto(ask);
    while (true) {
      auto r = channel.unaryAndWait(api::cri_runtime_v1::ImageServiceMethods::ImageStatus, request, {});
      if (r.status.ok()) {
        KM_ASSIGN(auto answer, codec::fromProto<api::cri_runtime_v1::ImageStatusResponse>(r.message));
        if (answer.image && !answer.image->id.empty()) return {};
      }
      auto now = std::chrono::steady_clock::now();
      if (now - begin > kLimit) return errors::failed(fmt::format("the container runtime does not take note of image {}: {}", image.name.view(), r.status.str()));
      if (r.status.ok() && now - told > kTellAgain) {  // told while the service started and did not listen yet
        images::UpdateImageRequest update;
        update.image = image;
        (void)channel.unaryAndWait(images::ImagesMethods::Update, codec::toProto(update), options());
        told = now;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));  // nothing tells when it is known
    }
  }

  struct Blob {
    std::string type, digest, bytes;
  };
  // Config and layers, then the manifest that keeps them from collection, then the names.
  Status store(const std::string& manifest, const std::string& type, const Blob& config, const std::vector<Blob>& layers,
               const std::vector<std::string>& names) {
    KM_TRY(hold());
    Status s = storeHeld(manifest, type, config, layers, names);
    release();
    return s;
  }
  Status storeHeld(const std::string& manifest, const std::string& type, const Blob& config, const std::vector<Blob>& layers,
                   const std::vector<std::string>& names) {
    std::map<std::string, std::string> refs;
    refs["containerd.io/gc.ref.content.config"] = config.digest;
    for (size_t i = 0; i < layers.size(); i++) {
      refs[fmt::format("containerd.io/gc.ref.content.l.{}", i)] = layers[i].digest;
      KM_TRY(write(layers[i].bytes, layers[i].digest, {}));
    }
    KM_TRY(write(config.bytes, config.digest, {}));
    std::string digest = digestOf(manifest);
    KM_TRY(write(manifest, digest, refs));
    for (const std::string& n : names) KM_TRY(name(n, type, digest, manifest.size()));
    return {};
  }

  http::Client client;
  http::GrpcChannel channel;
  std::string lease;  // what is written is under it
  int leaseCount = 0;
};

ImageStore::ImageStore(async::Loop& loop, std::string socket) : impl_(std::make_unique<Impl>(loop, std::move(socket))) {}
ImageStore::~ImageStore() = default;

Status ImageStore::put(const SimpleImage& image) {
  KM_ASSIGN(std::string layer, tarOf(image.files));
  std::string layerDigest = digestOf(layer);
  std::string config = R"({"architecture":"amd64","os":"linux","config":{)";
  std::string parts;
  auto part = [&](std::string_view key, const std::vector<std::string>& values) {
    if (!values.empty()) parts += fmt::format("{}\"{}\":{}", parts.empty() ? "" : ",", key, jsonList(values));
  };
  part("Env", image.env);
  part("Entrypoint", image.entrypoint);
  part("Cmd", image.command);
  config += parts + fmt::format(R"(}},"rootfs":{{"type":"layers","diff_ids":["{}"]}}}})", layerDigest);
  Impl::Blob c{kConfigType, digestOf(config), config};
  Impl::Blob l{kLayerType, layerDigest, std::move(layer)};
  std::string manifest = fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}})", kManifestType,
                                     descriptor(kConfigType, c.digest, c.bytes.size()), descriptor(kLayerType, l.digest, l.bytes.size()));
  return impl_->store(manifest, kManifestType, c, {l}, {image.name});
}

Result<std::vector<std::string>> ImageStore::importArchive(const std::string& path) {
  KM_ASSIGN(auto files, readTar(path));
  std::vector<std::string> imported;
  auto text = [](const Value& v, std::string_view key) -> std::string {
    const Value* m = v.find(key);
    return m ? std::string(m->asString()) : "";
  };
  auto fullName = [](std::string name) {
    size_t slash = name.find('/');
    bool hasHost = slash != std::string::npos && name.substr(0, slash).find_first_of(".:") != std::string::npos;
    if (!hasHost) name = (slash == std::string::npos ? "docker.io/library/" : "docker.io/") + name;
    if (name.find(':', name.rfind('/')) == std::string::npos) name += ":latest";
    return name;
  };
  if (auto it = files.find("manifest.json"); it != files.end()) {
    // docker save: configs and uncompressed layers by file name; the manifest is ours to write.
    KM_ASSIGN(Value list, Value::parse(it->second));
    for (const Value& m : list.items()) {
      Impl::Blob config{kConfigType, "", files[text(m, "Config")]};
      config.digest = digestOf(config.bytes);
      std::vector<Impl::Blob> layers;
      std::string layerList;
      const Value* layerNames = m.find("Layers");
      for (const Value& l : layerNames ? layerNames->items() : std::span<const Value>()) {
        Impl::Blob b{kLayerType, "", files[std::string(l.asString())]};
        bool gzip = b.bytes.size() > 2 && static_cast<unsigned char>(b.bytes[0]) == 0x1f && static_cast<unsigned char>(b.bytes[1]) == 0x8b;
        if (gzip) b.type += "+gzip";
        b.digest = digestOf(b.bytes);
        layerList += (layerList.empty() ? "" : ",") + descriptor(b.type, b.digest, b.bytes.size());
        layers.push_back(std::move(b));
      }
      std::string manifest = fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}})", kManifestType,
                                         descriptor(kConfigType, config.digest, config.bytes.size()), layerList);
      std::vector<std::string> names;
      const Value* tags = m.find("RepoTags");
      for (const Value& t : tags ? tags->items() : std::span<const Value>()) names.push_back(fullName(std::string(t.asString())));
      KM_TRY(impl_->store(manifest, kManifestType, config, layers, names));
      imported.insert(imported.end(), names.begin(), names.end());
    }
    return imported;
  }
  auto index = files.find("index.json");
  if (index == files.end()) return errors::failed(fmt::format("{}: neither manifest.json nor index.json is in it", path));
  auto blob = [&](const std::string& digest) -> const std::string& { return files["blobs/" + std::string(digest).replace(digest.find(':'), 1, "/")]; };
  KM_ASSIGN(Value root, Value::parse(index->second));
  const Value* manifests = root.find("manifests");
  for (const Value& d : manifests ? manifests->items() : std::span<const Value>()) {
    std::string digest = text(d, "digest"), type = text(d, "mediaType");
    if (digest.find(':') == std::string::npos) return errors::failed(fmt::format("{}: index.json has a bad digest", path));
    std::string manifest = blob(digest);
    KM_ASSIGN(Value m, Value::parse(manifest));
    std::string name;
    if (const Value* annotations = d.find("annotations")) {
      name = text(*annotations, "io.containerd.image.name");
      if (name.empty()) name = text(*annotations, "org.opencontainers.image.ref.name");
    }
    if (name.empty() || m.find("config") == nullptr) continue;
    Impl::Blob config{text(*m.find("config"), "mediaType"), text(*m.find("config"), "digest"), ""};
    config.bytes = blob(config.digest);
    std::vector<Impl::Blob> layers;
    for (const Value& l : m.find("layers") ? m.find("layers")->items() : std::span<const Value>()) {
      layers.push_back({text(l, "mediaType"), text(l, "digest"), blob(text(l, "digest"))});
    }
    name = fullName(name);
    KM_TRY(impl_->store(manifest, type.empty() ? kManifestType : type, config, layers, {name}));
    imported.push_back(name);
  }
  return imported;
}

}  // namespace km::cri
