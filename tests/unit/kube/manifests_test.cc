// SPDX-License-Identifier: Apache-2.0
#include "agent/kube/manifests.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

namespace bonsai::kube {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string PodText(const std::string& name, const std::string& label = "x") {
  return "apiVersion: v1\nkind: Pod\nmetadata: {name: " + name + ", labels: {v: " + label + "}}\n";
}

class Manifests : public ::testing::Test {
 protected:
  Manifests() {
    std::string pattern = fs::temp_directory_path() / "manifests-test-XXXXXX";
    directory_ = mkdtemp(pattern.data());
    store_ = std::make_unique<ManifestStore>(directory_);
  }
  ~Manifests() override { fs::remove_all(directory_); }

  void Write(const std::string& file, const std::string& text) {
    std::ofstream(directory_ / file) << text;
  }
  bool Refresh() {
    const auto changed = store_->Refresh();
    EXPECT_TRUE(changed.ok()) << changed.status();
    return changed.ok() && *changed;
  }
  // "name=label" of each pod in force.
  std::vector<std::string> Pods() {
    std::vector<std::string> pods;
    for (const auto& pod : store_->state().pods)
      pods.push_back(pod.name + "=" + pod.labels.at("v"));
    return pods;
  }
  std::vector<std::string> Problems() {
    std::vector<std::string> problems;
    for (const auto& each : store_->problems()) problems.push_back(ToString(each));
    return problems;
  }

  fs::path directory_;
  std::unique_ptr<ManifestStore> store_;
};

TEST_F(Manifests, ReadsEachManifestFileAndNothingElse) {
  Write("a.yaml", PodText("a"));
  Write("b.yml", PodText("b"));
  Write("c.json", R"({"apiVersion":"v1","kind":"Pod","metadata":{"name":"c","labels":{"v":"x"}}})");
  Write("d.txt", "{{{");
  Write(".hidden.yaml", "{{{");
  fs::create_directory(directory_ / "sub.yaml");
  fs::create_symlink("a.yaml", directory_ / "skipped");
  EXPECT_TRUE(Refresh());
  EXPECT_THAT(Pods(), ElementsAre("a=x", "b=x", "c=x"));
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(Manifests, TellWhetherSomethingChanged) {
  EXPECT_TRUE(Refresh());  // the first time, even with nothing there
  EXPECT_FALSE(Refresh());
  Write("a.yaml", PodText("a"));
  EXPECT_TRUE(Refresh());
  EXPECT_FALSE(Refresh());
  Write("a.yaml", PodText("a", "y"));
  EXPECT_TRUE(Refresh());
  EXPECT_THAT(Pods(), ElementsAre("a=y"));
}

TEST_F(Manifests, RemoveObjectsWithTheirFile) {
  Write("a.yaml", PodText("a"));
  Write("b.yaml", PodText("b"));
  Refresh();
  fs::remove(directory_ / "a.yaml");
  EXPECT_TRUE(Refresh());
  EXPECT_THAT(Pods(), ElementsAre("b=x"));
}

TEST_F(Manifests, KeepTheLastGoodVersionOfABrokenFileOnly) {
  Write("a.yaml", PodText("a") + "---\n" + PodText("a2"));
  Write("b.yaml", PodText("b"));
  Refresh();
  Write("a.yaml", PodText("a", "new") + "---\n" + PodText("a2") + "spec: []\n");
  Write("b.yaml", PodText("b", "new"));
  EXPECT_TRUE(Refresh());
  EXPECT_THAT(Pods(), ElementsAre("a=x", "a2=x", "b=new"));
  EXPECT_THAT(Problems(), ElementsAre("a.yaml:8: Pod default/a2: spec: must be a map, not a list"));
  const auto files = store_->files();
  ASSERT_EQ(files.size(), 2u);
  EXPECT_TRUE(files[0].refused && files[0].last_good);
  EXPECT_EQ(files[0].objects, 2u);
  EXPECT_FALSE(files[1].refused);

  Write("a.yaml", PodText("a", "mended"));
  EXPECT_TRUE(Refresh());
  EXPECT_THAT(Pods(), ElementsAre("a=mended", "b=new"));
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(Manifests, HaveNothingOfAFileThatNeverWasGood) {
  Write("a.yaml", "kind: [");
  EXPECT_TRUE(Refresh());
  EXPECT_THAT(Pods(), IsEmpty());
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("a.yaml:")));
  EXPECT_TRUE(store_->files()[0].refused);
  EXPECT_FALSE(store_->files()[0].last_good);
}

TEST_F(Manifests, KeepTheObjectsOfAFileThatWasEmptied) {
  Write("a.yaml", PodText("a"));
  Refresh();
  Write("a.yaml", "");
  Refresh();
  EXPECT_THAT(Pods(), ElementsAre("a=x"));
  EXPECT_THAT(Problems(),
              ElementsAre("a.yaml: the file is empty; delete it to remove its objects"));
}

TEST_F(Manifests, KeepTheObjectsOfAFileThatCannotBeRead) {
  Write("a.yaml", PodText("a"));
  Refresh();
  fs::remove(directory_ / "a.yaml");
  fs::create_symlink("nowhere", directory_ / "a.yaml");
  Refresh();
  EXPECT_THAT(Pods(), ElementsAre("a=x"));
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("a.yaml: reading " + directory_.string())));
}

TEST_F(Manifests, RefuseAFileThatBringsAnObjectOfAnother) {
  Write("a.yaml", PodText("a"));
  Write("b.yaml", PodText("b"));
  Refresh();
  Write("a.yaml", PodText("a", "new") + "---\n" + PodText("b", "stolen"));
  Refresh();
  EXPECT_THAT(Pods(), ElementsAre("a=x", "b=x"));
  EXPECT_THAT(Problems(),
              ElementsAre("a.yaml:5: Pod default/b: it is in b.yaml already; remove one "
                          "of the two"));
  // Once the other one has given it up, the refused version comes into force by itself.
  fs::remove(directory_ / "b.yaml");
  EXPECT_TRUE(Refresh());
  EXPECT_THAT(Pods(), ElementsAre("a=new", "b=stolen"));
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(Manifests, LetTheFirstOfTwoNewFilesHaveAnObject) {
  Write("b.yaml", PodText("p", "of-b"));
  Write("a.yaml", PodText("p", "of-a"));
  Refresh();
  EXPECT_THAT(Pods(), ElementsAre("p=of-a"));
  EXPECT_THAT(Problems(),
              ElementsAre(HasSubstr("b.yaml:1: Pod default/p: it is in a.yaml already")));
}

TEST_F(Manifests, LetAnObjectMoveFromOneFileToAnother) {
  Write("a.yaml", PodText("a") + "---\n" + PodText("p"));
  Write("b.yaml", PodText("b"));
  Refresh();
  Write("a.yaml", PodText("a"));
  Write("b.yaml", PodText("b") + "---\n" + PodText("p", "moved"));
  Refresh();
  EXPECT_THAT(Pods(), ElementsAre("a=x", "b=x", "p=moved"));
  EXPECT_THAT(Problems(), IsEmpty());
}

TEST_F(Manifests, DoNotLoseAnObjectWhoseOldFileBrokeAsItMoved) {
  Write("a.yaml", PodText("a") + "---\n" + PodText("p"));
  Write("b.yaml", PodText("b"));
  Write("c.yaml", PodText("c"));
  Refresh();
  // a.yaml stays as it was, so b.yaml cannot have p; and c.yaml cannot have what b.yaml keeps.
  Write("a.yaml", PodText("a") + "spec: 1\n");
  Write("b.yaml", PodText("p", "moved"));
  Write("c.yaml", PodText("c", "new") + "---\n" + PodText("b", "moved"));
  Refresh();
  EXPECT_THAT(Pods(), ElementsAre("a=x", "b=x", "c=x", "p=x"));
  EXPECT_EQ(Problems().size(), 3u);
}

TEST_F(Manifests, StayWhenTheDirectoryCannotBeRead) {
  Write("a.yaml", PodText("a"));
  Refresh();
  const fs::path away = directory_.string() + "-away";
  fs::rename(directory_, away);
  const auto changed = store_->Refresh();
  EXPECT_EQ(changed.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(changed.status().message()), HasSubstr(directory_.string()));
  EXPECT_THAT(Pods(), ElementsAre("a=x"));
  fs::rename(away, directory_);
  EXPECT_FALSE(Refresh());
}

TEST_F(Manifests, AreReadOfOneVersionOfAProjectedConfigMap) {
  const auto publish = [&](int version) {
    const std::string name = "..version-" + std::to_string(version);
    fs::create_directory(directory_ / name);
    Write(name + "/a.yaml", PodText("a", std::to_string(version)));
    Write(name + "/b.yaml", PodText("b", std::to_string(version)));
    fs::create_symlink(name, directory_ / "..data_tmp");
    fs::rename(directory_ / "..data_tmp", directory_ / "..data");
    if (version > 0) fs::remove_all(directory_ / ("..version-" + std::to_string(version - 1)));
  };
  publish(0);
  fs::create_symlink("..data/a.yaml", directory_ / "a.yaml");
  fs::create_symlink("..data/b.yaml", directory_ / "b.yaml");
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int version = 1; !stop; ++version) {
      publish(version);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  int reads = 0;
  for (int i = 0; i < 200; ++i) {
    const auto changed = store_->Refresh();
    if (!changed.ok()) continue;  // it kept changing; the last version stays
    ++reads;
    EXPECT_THAT(Problems(), IsEmpty());
    const auto pods = Pods();
    EXPECT_EQ(pods.size(), 2u);
    if (pods.size() == 2) {
      EXPECT_EQ(pods[0].substr(2), pods[1].substr(2));
    }
    if (HasFailure()) break;
  }
  stop = true;
  writer.join();
  EXPECT_GT(reads, 0);
  EXPECT_THAT(store_->files().size(), 2u);
}

TEST_F(Manifests, AreNotReadHalfWritten) {
  Write("a.yaml", PodText("a", "x1"));
  Refresh();
  std::atomic<bool> stop = false;
  // Truncates and writes in place, at once, as an editor does.
  std::thread writer([&] {
    for (int i = 2; !stop; ++i) {
      Write("a.yaml", PodText("a", "x" + std::to_string(i)));
      std::this_thread::sleep_for(std::chrono::milliseconds(35));
    }
  });
  for (int i = 0; i < 20; ++i) {
    const auto changed = store_->Refresh();
    EXPECT_TRUE(changed.ok() || absl::IsUnavailable(changed.status())) << changed.status();
    EXPECT_THAT(Problems(), IsEmpty());
    EXPECT_EQ(Pods().size(), 1u);
  }
  stop = true;
  writer.join();
}

}  // namespace
}  // namespace bonsai::kube
